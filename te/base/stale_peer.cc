#include "te/base/stale_peer.h"

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace te {

absl::Status StalePeerError(absl::string_view text) {
  absl::Status status =
      absl::FailedPreconditionError(absl::StrCat("stale peer: ", text));
  status.SetPayload(kStalePeerTypeUrl, absl::Cord());
  return status;
}

bool IsStalePeer(const absl::Status& status) {
  return status.GetPayload(kStalePeerTypeUrl).has_value();
}

}  // namespace te
