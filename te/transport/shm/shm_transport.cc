#include "te/transport/shm/shm_transport.h"

#include <unistd.h>

#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/transport/local_memory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/shm/copy_pools.h"
#include "te/transport/shm/handshake.pb.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/link_watcher.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/shm_rail.h"
#include "te/transport/shm/shm_server.h"
#include "te/transport/shm/unix_socket.h"

namespace te {
namespace shm {
namespace {

// Of the deadline, so that there is time for another transport.
constexpr int kShareOfTime = 2;

absl::Status CheckRange(absl::string_view name, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("shm option ", name, " is ",
                                                 value, "; it must be from ",
                                                 low, " to ", high));
}

absl::Status Validate(const ShmOptions& o) {
  TE_RETURN_IF_ERROR(CheckRange("workers", o.workers, 0, 64));
  TE_RETURN_IF_ERROR(CheckRange(
      "inline_bytes", static_cast<int64_t>(o.inline_bytes), 0, 64 << 20));
  TE_RETURN_IF_ERROR(CheckRange("max_peers", o.max_peers, 1, 1 << 16));
  return CheckRange("hello_timeout (ns)", o.hello_timeout.count(), 1,
                    Duration(std::chrono::hours(24)).count());
}

std::string BytesOf(const Incarnation& incarnation) {
  return std::string(reinterpret_cast<const char*>(incarnation.bytes().data()),
                     incarnation.bytes().size());
}

class ShmTransport final : public Transport {
 public:
  static absl::StatusOr<std::unique_ptr<Transport>> Create(
      const ShmOptions& options, const Incarnation& self,
      const ShmParts& parts) {
    TE_RETURN_IF_ERROR(Validate(options));
    if (parts.boot_id.empty()) {
      return absl::UnavailableError(
          "the kernel does not tell its boot id (/proc/sys/kernel/random), so "
          "no peer can be shown to be of this host");
    }
    std::unique_ptr<ShmTransport> transport(
        new ShmTransport(options, self, parts.boot_id));
    TE_ASSIGN_OR_RETURN(transport->watcher_, LinkWatcher::Create());
    TE_ASSIGN_OR_RETURN(transport->pools_,
                        CopyPools::Create(options.workers, parts.node_cpus));
    TE_ASSIGN_OR_RETURN(transport->server_,
                        ShmServer::Create(options, parts.max_buffers));
    return transport;
  }

  absl::string_view name() const override { return kShmTransportName; }

  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override {
    if (!peer.boot_id.empty()) {
      TE_RETURN_IF_ERROR(CheckHost(peer, peer.boot_id));
    }
    HandshakeRequest request;
    request.set_version(kShmVersion);
    request.set_rail_id(rail_id);
    request.set_server(BytesOf(peer.incarnation));
    request.set_boot_id(boot_id_);
    TE_ASSIGN_OR_RETURN(
        const std::string answer,
        channel->Exchange(name(), request.SerializeAsString(), deadline));
    HandshakeResponse response;
    Token token;
    if (!response.ParseFromString(answer) || !IsSocketName(response.socket()) ||
        response.token().size() != token.size()) {
      return absl::DataLossError(
          absl::StrCat("the shm handshake with ", peer.name,
                       " was answered by bytes that are none"));
    }
    TE_RETURN_IF_ERROR(CheckHost(peer, response.boot_id()));
    memcpy(token.data(), response.token().data(), token.size());
    const MonotonicTime now = RealClock().Now();
    TE_ASSIGN_OR_RETURN(
        std::unique_ptr<PeerLink> link,
        PeerLink::Connect(
            options_, response.socket(), token,
            DeadlineAfter(now, TimeUntil(deadline, now) / kShareOfTime),
            watcher_.get()));
    const std::string rail =
        absl::StrCat("shm to ", peer.name, ": ", link->Describe());
    // Without threads that help nobody but who waits would take the rest.
    const uint64_t inline_bytes = options_.workers == 0
                                      ? std::numeric_limits<uint64_t>::max()
                                      : options_.inline_bytes;
    return Rails{std::make_shared<ShmRail>(rail, std::move(link), inline_bytes,
                                           *pools_)};
  }

  absl::StatusOr<std::string> Accept(const Incarnation& client,
                                     absl::string_view bytes,
                                     MonotonicTime deadline) override {
    HandshakeRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::InvalidArgumentError("malformed shm handshake");
    }
    if (request.version() != kShmVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("the peer speaks version ", request.version(),
                       " of te's shm protocol, this engine version ",
                       kShmVersion, "; run the same release on both"));
    }
    if (request.server() != BytesOf(self_)) {
      return StalePeerError(
          absl::StrCat("this is engine ", self_.ToString(),
                       ", and not the one that shm was to connect to"));
    }
    if (request.boot_id() != boot_id_) {
      return absl::NotFoundError("this engine is on another host");
    }
    TE_ASSIGN_OR_RETURN(
        const Token token,
        server_->Promise({.incarnation = client, .rail_id = request.rail_id()},
                         deadline));
    HandshakeResponse response;
    response.set_boot_id(boot_id_);
    response.set_socket(server_->socket_name());
    response.set_token(
        std::string(reinterpret_cast<const char*>(token.data()), token.size()));
    return response.SerializeAsString();
  }

  void DisconnectPeers() override { server_->DisconnectPeers(); }

  absl::StatusOr<std::string> RegisterMemory(
      const LocalMemory& memory) override {
    if (!memory.remote_read && !memory.remote_write) return std::string();
    return server_->Grant(memory).Serialize();
  }
  absl::Status RevokeAccess(uint32_t slot, MonotonicTime deadline) override {
    return server_->Revoke(slot, deadline);
  }
  void UnregisterMemory(uint32_t slot) override { server_->Withdraw(slot); }

 private:
  ShmTransport(const ShmOptions& options, const Incarnation& self,
               std::string boot_id)
      : options_(options), self_(self), boot_id_(std::move(boot_id)) {}

  absl::Status CheckHost(const PeerIdentity& peer,
                         absl::string_view boot_id) const {
    if (boot_id == boot_id_) return absl::OkStatus();
    return absl::NotFoundError(
        absl::StrCat("segment ", peer.name, " is on another host"));
  }

  const ShmOptions options_;
  const Incarnation self_;
  const std::string boot_id_;
  std::unique_ptr<LinkWatcher> watcher_;
  std::unique_ptr<CopyPools> pools_;
  std::unique_ptr<ShmServer> server_;
};

}  // namespace
}  // namespace shm

absl::StatusOr<std::unique_ptr<Transport>> CreateShmTransport(
    const ShmOptions& options, const Incarnation& self, const ShmParts& parts) {
  return shm::ShmTransport::Create(options, self, parts);
}

}  // namespace te
