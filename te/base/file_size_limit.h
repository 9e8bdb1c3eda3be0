#ifndef TE_BASE_FILE_SIZE_LIMIT_H_
#define TE_BASE_FILE_SIZE_LIMIT_H_

#include <cstdint>

#include "absl/status/status.h"

namespace te {

// RESOURCE_EXHAUSTED if a file of so many bytes is beyond the limit of this
// process (RLIMIT_FSIZE): ftruncate(2) would not fail then, but end it by
// SIGXFSZ. That concerns files in memory as well.
absl::Status CheckFileSizeLimit(uint64_t bytes);

}  // namespace te

#endif  // TE_BASE_FILE_SIZE_LIMIT_H_
