#ifndef TE_TRANSPORT_FORWARDING_TRANSPORT_H_
#define TE_TRANSPORT_FORWARDING_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/transport/local_memory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/transport.h"

namespace te {

// A transport over another one, which does everything but Connect: for those
// that change what becomes of rails.
class ForwardingTransport : public Transport {
 public:
  absl::string_view name() const override { return inner_->name(); }
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

 protected:
  explicit ForwardingTransport(std::unique_ptr<Transport> inner)
      : inner_(std::move(inner)) {}

  Transport& inner() { return *inner_; }

 private:
  const std::unique_ptr<Transport> inner_;
};

}  // namespace te

#endif  // TE_TRANSPORT_FORWARDING_TRANSPORT_H_
