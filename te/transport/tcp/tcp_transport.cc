#include "te/transport/tcp/tcp_transport.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "te/base/socket_address.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/client_stream.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/handshake.pb.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/tcp/socket.h"
#include "te/transport/tcp/tcp_rail.h"
#include "te/transport/tcp/tcp_server.h"

namespace te {
namespace tcp {
namespace {

constexpr int kMaxStreamsPerPeer = 64;
constexpr int kMaxIoThreads = 64;

absl::Status CheckRange(absl::string_view name, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tcp option ", name, " is ",
                                                 value, "; it must be from ",
                                                 low, " to ", high));
}

absl::Status Validate(const TcpOptions& o) {
  TE_RETURN_IF_ERROR(CheckRange("streams_per_peer", o.streams_per_peer, 1,
                                kMaxStreamsPerPeer));
  TE_RETURN_IF_ERROR(CheckRange("io_threads", o.io_threads, 1, kMaxIoThreads));
  TE_RETURN_IF_ERROR(CheckRange("spin (ns)", o.spin.count(), 0,
                                Duration(std::chrono::seconds(1)).count()));
  TE_RETURN_IF_ERROR(CheckRange("window_bytes",
                                static_cast<int64_t>(o.window_bytes), 64 << 10,
                                int64_t{1} << 32));
  TE_RETURN_IF_ERROR(
      CheckRange("socket_buffer_bytes", o.socket_buffer_bytes, 0, 1 << 30));
  TE_RETURN_IF_ERROR(CheckRange("peer_timeout (ns)", o.peer_timeout.count(),
                                Duration(std::chrono::seconds(1)).count(),
                                Duration(std::chrono::hours(24)).count()));
  TE_RETURN_IF_ERROR(CheckRange("hello_timeout (ns)", o.hello_timeout.count(),
                                1, Duration(std::chrono::hours(24)).count()));
  return CheckRange("max_inbound_streams", o.max_inbound_streams, 1, 1 << 20);
}

class TcpTransport final : public Transport {
 public:
  static absl::StatusOr<std::unique_ptr<Transport>> Create(
      const TcpOptions& options, const Incarnation& self,
      ExposedMemory& memory) {
    TE_RETURN_IF_ERROR(Validate(options));
    std::unique_ptr<TcpTransport> transport(new TcpTransport(options, self));
    for (int i = 0; i < options.io_threads; ++i) {
      TE_ASSIGN_OR_RETURN(
          std::unique_ptr<IoLoop> loop,
          IoLoop::Create(absl::StrCat("te-tcp-", i), options.spin));
      transport->loops_.push_back(std::move(loop));
    }
    TE_ASSIGN_OR_RETURN(
        transport->server_,
        TcpServer::Create(options, self, memory, transport->loops_));
    return transport;
  }

  absl::string_view name() const override { return kTcpTransportName; }

  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override {
    const auto streams = static_cast<uint32_t>(options_.streams_per_peer);
    TE_ASSIGN_OR_RETURN(const HandshakeResponse response,
                        Handshake(peer, rail_id, streams, *channel, deadline));
    TE_ASSIGN_OR_RETURN(
        const SocketAddress address,
        SocketAddress::FromIp(response.ip(),
                              static_cast<uint16_t>(response.port())));
    TE_ASSIGN_OR_RETURN(
        const Incarnation session,
        Incarnation::FromBytes(absl::MakeConstSpan(
            reinterpret_cast<const uint8_t*>(response.session().data()),
            response.session().size())));
    std::vector<UniqueFd> sockets;
    for (uint32_t i = 0; i < streams; ++i) {
      TE_ASSIGN_OR_RETURN(UniqueFd socket,
                          tcp::Connect(address, options_, deadline));
      TE_RETURN_IF_ERROR(SayHello(socket.get(), peer, session, i, deadline));
      sockets.push_back(std::move(socket));
    }
    TE_ASSIGN_OR_RETURN(
        std::shared_ptr<Rail> rail,
        TcpRail::Create({.self = self_,
                         .peer = peer.incarnation,
                         .name = absl::StrCat("tcp to ", peer.name),
                         .window_bytes = options_.window_bytes,
                         .checksum = options_.checksum},
                        std::move(sockets), loops_, next_loop_++));
    return Rails{std::move(rail)};
  }

  absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                     PeerChannel& channel, MonotonicTime deadline) override {
    return Handshake(peer, rail_id, /*streams=*/0, channel, deadline).status();
  }

  absl::StatusOr<std::string> Accept(const Incarnation& client,
                                     absl::string_view bytes,
                                     MonotonicTime /*deadline*/) override {
    HandshakeRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::InvalidArgumentError("malformed tcp handshake");
    }
    if (request.wire_version() != kWireVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("the peer speaks version ", request.wire_version(),
                       " of te's tcp protocol, this engine version ",
                       kWireVersion, "; run the same release on both"));
    }
    if (request.streams() > kMaxStreamsPerPeer) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the peer wants ", request.streams(), " tcp connections; ",
          kMaxStreamsPerPeer, " are allowed"));
    }
    HandshakeResponse response;
    if (request.streams() == 0) {
      server_->EndSessions(client, request.rail_id());
      return response.SerializeAsString();
    }
    TE_ASSIGN_OR_RETURN(
        const Incarnation session,
        server_->OpenSession(client, request.rail_id(), request.streams()));
    response.set_ip(server_->address().ip());
    response.set_port(server_->address().port());
    response.set_session(session.bytes().data(), session.bytes().size());
    return response.SerializeAsString();
  }

  void DisconnectPeers() override { server_->DisconnectPeers(); }

 private:
  TcpTransport(const TcpOptions& options, const Incarnation& self)
      : options_(options), self_(self) {}

  absl::StatusOr<HandshakeResponse> Handshake(const PeerIdentity& peer,
                                              uint64_t rail_id,
                                              uint32_t streams,
                                              PeerChannel& channel,
                                              MonotonicTime deadline) const {
    HandshakeRequest request;
    request.set_wire_version(kWireVersion);
    request.set_rail_id(rail_id);
    request.set_streams(streams);
    TE_ASSIGN_OR_RETURN(
        const std::string answer,
        channel.Exchange(name(), request.SerializeAsString(), deadline));
    HandshakeResponse response;
    if (!response.ParseFromString(answer) || response.port() > UINT16_MAX) {
      return absl::DataLossError(
          absl::StrCat("the tcp handshake with ", peer.name,
                       " was answered by bytes that are none"));
    }
    return response;
  }

  // Introduces a new connection, and makes sure that the right engine answers.
  absl::Status SayHello(int fd, const PeerIdentity& peer,
                        const Incarnation& session, uint32_t stream,
                        MonotonicTime deadline) const {
    std::array<std::byte, kFrameStartBytes> frame;
    Encode(
        {.kind = FrameKind::kHello, .entries = 1, .target = peer.incarnation},
        frame.data());
    Encode(HelloEntry{.session = session, .stream = stream},
           frame.data() + kHeaderBytes);
    TE_RETURN_IF_ERROR(SendAll(fd, frame, deadline));
    TE_RETURN_IF_ERROR(ReceiveAll(fd, absl::MakeSpan(frame), deadline));
    TE_ASSIGN_OR_RETURN(const FrameHeader answer, DecodeHeader(frame.data()));
    if (answer.kind != FrameKind::kWelcome || answer.target != self_) {
      return absl::DataLossError(
          absl::StrCat("the connection ", DescribeSocket(fd),
                       " was not welcomed; is it te that listens there?"));
    }
    return absl::OkStatus();
  }

  const TcpOptions options_;
  const Incarnation self_;
  std::vector<std::shared_ptr<IoLoop>> loops_;
  // Rails begin with different loops, so that all of them have work.
  std::atomic<size_t> next_loop_{0};
  std::unique_ptr<TcpServer> server_;
};

}  // namespace
}  // namespace tcp

absl::StatusOr<std::unique_ptr<Transport>> CreateTcpTransport(
    const TcpOptions& options, const Incarnation& self, ExposedMemory& memory) {
  return tcp::TcpTransport::Create(options, self, memory);
}

}  // namespace te
