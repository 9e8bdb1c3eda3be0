#include "te/base/incarnation.h"

#include <errno.h>
#include <sys/random.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/errno_status.h"

namespace te {

absl::StatusOr<Incarnation> Incarnation::Random() {
  Incarnation incarnation;
  // All zero means "none", so it is not drawn, however unlikely.
  while (incarnation.IsZero()) {
    ssize_t got;
    do {
      got = getrandom(incarnation.bytes_.data(), kBytes, 0);
    } while (got < 0 && errno == EINTR);
    // Up to 256 bytes come whole, says getrandom(2).
    if (got != static_cast<ssize_t>(kBytes)) {
      return ErrnoToStatus(got < 0 ? errno : EIO,
                           "draw an incarnation with getrandom; allow this "
                           "system call in the seccomp filter");
    }
  }
  return incarnation;
}

absl::StatusOr<Incarnation> Incarnation::FromBytes(
    absl::Span<const uint8_t> bytes) {
  if (bytes.size() != kBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "an incarnation has ", kBytes, " bytes, not ", bytes.size()));
  }
  Incarnation incarnation;
  std::copy(bytes.begin(), bytes.end(), incarnation.bytes_.begin());
  return incarnation;
}

std::string Incarnation::ToString() const {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
}

}  // namespace te
