#ifndef TE_TRANSPORT_SHAPED_TRANSPORT_H_
#define TE_TRANSPORT_SHAPED_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/thread.h"
#include "te/transport/local_memory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/rail_controls.h"
#include "te/transport/transport.h"

namespace te {

// A transport over another one, with as many rails to each peer as RailControls
// has shapes, each as fast, late and faulty as its shape says at that moment.
// All of them go over the first rail beneath. For tests of what chooses among
// rails: what they do is what rails may do. Time is the real clock's; a thread
// of the transport's own moves what is due.
class ShapedTransport final : public Transport {
 public:
  static absl::StatusOr<std::unique_ptr<ShapedTransport>> Create(
      std::unique_ptr<Transport> inner, std::shared_ptr<RailControls> controls);
  ~ShapedTransport() override;

  absl::string_view name() const override { return inner_->name(); }
  // UNAVAILABLE if all rails are down.
  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override;
  absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                     PeerChannel& channel, MonotonicTime deadline) override {
    return inner_->Fence(peer, rail_id, channel, deadline);
  }
  absl::StatusOr<std::string> Accept(const Incarnation& client,
                                     absl::string_view request,
                                     MonotonicTime deadline) override {
    return inner_->Accept(client, request, deadline);
  }
  void DisconnectPeers() override { inner_->DisconnectPeers(); }
  absl::StatusOr<std::string> RegisterMemory(
      const LocalMemory& memory) override {
    return inner_->RegisterMemory(memory);
  }
  absl::Status RevokeAccess(uint32_t slot, MonotonicTime deadline) override {
    return inner_->RevokeAccess(slot, deadline);
  }
  void UnregisterMemory(uint32_t slot) override {
    inner_->UnregisterMemory(slot);
  }

 private:
  class Mover;

  ShapedTransport(std::unique_ptr<Transport> inner,
                  std::shared_ptr<RailControls> controls);

  const std::unique_ptr<Transport> inner_;
  const std::shared_ptr<RailControls> controls_;
  // Shared with the rails, which may outlive the transport.
  const std::shared_ptr<Mover> mover_;
  Thread thread_;
};

}  // namespace te

#endif  // TE_TRANSPORT_SHAPED_TRANSPORT_H_
