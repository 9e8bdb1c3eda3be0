#ifndef TE_TRANSPORT_SHAPED_TRANSPORT_H_
#define TE_TRANSPORT_SHAPED_TRANSPORT_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/thread.h"
#include "te/transport/forwarding_transport.h"
#include "te/transport/peer_channel.h"
#include "te/transport/rail_controls.h"
#include "te/transport/transport.h"

namespace te {

// A transport over another one, with as many rails to each peer as RailControls
// has shapes, each as fast, late and faulty as its shape says at that moment.
// All of them go over the first rail beneath. For tests of what chooses among
// rails: what they do is what rails may do. Time is the real clock's; a thread
// of the transport's own moves what is due.
class ShapedTransport final : public ForwardingTransport {
 public:
  static absl::StatusOr<std::unique_ptr<ShapedTransport>> Create(
      std::unique_ptr<Transport> inner, std::shared_ptr<RailControls> controls);
  ~ShapedTransport() override;

  // UNAVAILABLE if all rails are down.
  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override;

 private:
  class Mover;

  ShapedTransport(std::unique_ptr<Transport> inner,
                  std::shared_ptr<RailControls> controls);

  const std::shared_ptr<RailControls> controls_;
  // Shared with the rails, which may outlive the transport once closed.
  const std::shared_ptr<Mover> mover_;
  Thread thread_;
};

}  // namespace te

#endif  // TE_TRANSPORT_SHAPED_TRANSPORT_H_
