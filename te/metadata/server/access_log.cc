#include "te/metadata/server/access_log.h"

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace te::metadata_server {
namespace {

// Bytes that are not printable ASCII appear as \u00XX, whatever they meant.
std::string Quote(absl::string_view text) {
  constexpr size_t kShown = 1024;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShown)) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (absl::ascii_isprint(static_cast<unsigned char>(c))) {
      quoted += c;
    } else {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    }
  }
  return quoted + '"';
}

}  // namespace

std::string FormatAccess(const MetadataAccess& access) {
  const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(access.duration);
  std::string line = absl::StrCat(
      "{\"method\":", Quote(access.method), ",\"key\":", Quote(access.key),
      ",\"peer\":", Quote(access.peer),
      ",\"code\":", Quote(absl::StatusCodeToString(access.status.code())),
      ",\"us\":", us.count());
  if (!access.status.ok()) {
    absl::StrAppend(&line, ",\"error\":", Quote(access.status.message()));
  }
  return line + '}';
}

bool IsError(const MetadataAccess& access) {
  return !access.status.ok() && !absl::IsNotFound(access.status) &&
         !absl::IsAborted(access.status);
}

}  // namespace te::metadata_server
