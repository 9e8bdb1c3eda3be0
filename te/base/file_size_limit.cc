#include "te/base/file_size_limit.h"

#include <sys/resource.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"

namespace te {

absl::Status CheckFileSizeLimit(uint64_t bytes) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) {
    return ErrnoToStatus(errno, "getrlimit");
  }
  if (bytes <= limit.rlim_cur) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("memory of ", bytes,
                   " bytes that processes share would exceed the limit on the "
                   "size of files (ulimit -f), which is ",
                   limit.rlim_cur, " bytes; raise that, or ask for less"));
}

}  // namespace te
