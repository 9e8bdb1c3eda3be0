#ifndef TE_TRANSPORT_PEER_CHANNEL_H_
#define TE_TRANSPORT_PEER_CHANNEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te {

// Carries a transport's handshake to the same transport of one peer, over the
// control plane. The bytes mean nothing to anybody else. Thread-safe.
class PeerChannel {
 public:
  virtual ~PeerChannel() = default;

  // Blocks until the peer's Transport::Accept has answered or `deadline` has
  // passed. kUnavailable: the peer cannot be reached, or is not ready; a status
  // for which IsStalePeer() holds: somebody else lives at its address now.
  virtual absl::StatusOr<std::string> Exchange(absl::string_view transport,
                                               absl::string_view request,
                                               MonotonicTime deadline) = 0;
};

}  // namespace te

#endif  // TE_TRANSPORT_PEER_CHANNEL_H_
