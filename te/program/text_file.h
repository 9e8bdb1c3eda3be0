#ifndef TE_PROGRAM_TEXT_FILE_H_
#define TE_PROGRAM_TEXT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te::program {

// All of a file that a user has named; "-" is stdin. INVALID_ARGUMENT if it has
// more than `max_bytes`; otherwise the error of the system call, with the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes);

// Makes a file of that text, or replaces what it had. The error of the system
// call, with the path.
absl::Status WriteTextFile(const std::string& path, absl::string_view text);

}  // namespace te::program

#endif  // TE_PROGRAM_TEXT_FILE_H_
