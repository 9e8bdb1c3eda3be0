#ifndef TE_PROGRAM_TEXT_FILE_H_
#define TE_PROGRAM_TEXT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace te::program {

// All of a file that a user has named; "-" is stdin. INVALID_ARGUMENT if it has
// more than `max_bytes`; otherwise the error of the system call, with the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes);

}  // namespace te::program

#endif  // TE_PROGRAM_TEXT_FILE_H_
