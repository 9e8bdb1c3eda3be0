#ifndef TE_BASE_STALE_PEER_H_
#define TE_BASE_STALE_PEER_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace te {

// The error of talking to a process that is not the one whose segment was
// opened: it restarted, or another one took its name, address and port. Nothing
// was transferred. Opening the segment again heals it.

// The key of the payload that marks such a status. Whoever carries a status
// over the network carries it too.
inline constexpr char kStalePeerTypeUrl[] = "type.te/stale_peer";

// FAILED_PRECONDITION "stale peer: <text>", with the mark. `text` says which
// incarnation was expected where, and which one answered.
absl::Status StalePeerError(absl::string_view text);

// Whether the status carries the mark. The text alone is not enough.
bool IsStalePeer(const absl::Status& status);

}  // namespace te

#endif  // TE_BASE_STALE_PEER_H_
