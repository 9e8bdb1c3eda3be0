#ifndef TE_CORE_CONTROL_LINK_H_
#define TE_CORE_CONTROL_LINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/core/request.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/peer_channel.h"

namespace te {

// The control plane to one peer, in one incarnation of it. Thread-safe.
class ControlLink : public PeerChannel {
 public:
  // Puts a notification into the peer's inbox, or finds that it is there
  // already. To one peer there is one call at a time, with a `sequence` above
  // all earlier ones, or with the last one again. Blocks until the peer has
  // answered. kUnavailable and kResourceExhausted (its inbox is full) are worth
  // another try.
  virtual absl::Status Notify(uint64_t sequence,
                              const Notification& notification,
                              MonotonicTime deadline) = 0;
};

// Makes the link to the engine that a descriptor describes; does no I/O.
using ControlLinkFactory =
    std::function<absl::StatusOr<std::unique_ptr<ControlLink>>(
        const SegmentDescriptor&)>;

// Links of the engine `self`, over te/rpc. `name` is that of its segment, which
// is read for each notification and outlives the links.
ControlLinkFactory ControlLinksOf(const Incarnation& self,
                                  const std::string& name);

}  // namespace te

#endif  // TE_CORE_CONTROL_LINK_H_
