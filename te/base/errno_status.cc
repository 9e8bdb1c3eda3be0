#include "te/base/errno_status.h"

#include <string.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace te {

absl::Status ErrnoToStatus(int errnum, absl::string_view what) {
  const char* description =
      strerrordesc_np(errnum);  // thread-safe, unlike strerror
  const char* name = strerrorname_np(errnum);
  std::string text = absl::StrCat(
      what, ": ", description ? description : "unknown error", " (",
      name ? name : "errno ", name ? "" : absl::StrCat(errnum), ")");
  absl::StatusCode code = absl::ErrnoToStatusCode(errnum);
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kUnknown;
  return absl::Status(code, text);
}

}  // namespace te
