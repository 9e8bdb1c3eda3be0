#ifndef TE_BASE_ERRNO_STATUS_H_
#define TE_BASE_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace te {

// The status of a failed system call. `errnum` is its errno, `what` says which
// call on which object, and where there is one, the remedy:
//   ErrnoToStatus(EADDRINUSE, "bind 127.0.0.1:80")
//     -> ALREADY_EXISTS "bind 127.0.0.1:80: Address already in use
//        (EADDRINUSE)"
// Thread-safe. An `errnum` of 0 is a caller's bug and becomes UNKNOWN, so that
// a failure never turns into success.
absl::Status ErrnoToStatus(int errnum, absl::string_view what);

}  // namespace te

#endif  // TE_BASE_ERRNO_STATUS_H_
