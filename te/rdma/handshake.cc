#include "te/rdma/handshake.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "te/base/status_macros.h"
#include "te/rdma/handshake.pb.h"

namespace te::rdma {
namespace {

constexpr uint32_t kMax24Bits = 0xffffff;
constexpr int kMaxGids = 256;
constexpr size_t kMaxNameBytes = 64;
constexpr uint32_t kMaxReadDepth = 255;

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed rdma handshake: ", what));
}

// The kernel's rule for names of devices and netdevs is stricter.
bool IsName(absl::string_view text) {
  return text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

void Fill(const EndpointOffer& offer, proto::Offer& message) {
  message.set_device(offer.device);
  message.set_read_depth(static_cast<uint32_t>(offer.read_depth));
  proto::Port& port = *message.mutable_port();
  port.set_number(static_cast<uint32_t>(offer.port.number));
  port.set_state(static_cast<uint32_t>(offer.port.state));
  port.set_link_layer(static_cast<uint32_t>(offer.port.link_layer));
  port.set_lid(offer.port.lid);
  port.set_mtu(static_cast<uint32_t>(offer.mtu));
  for (const GidEntry& entry :
       offer.port.gids.value_or(std::vector<GidEntry>())) {
    proto::Gid& gid = *port.add_gids();
    gid.set_index(static_cast<uint32_t>(entry.index));
    gid.set_gid(entry.gid.bytes().data(), entry.gid.bytes().size());
    gid.set_type(static_cast<uint32_t>(entry.type));
    gid.set_netdev(entry.netdev);
  }
  for (const QueuePairAddress& address : offer.queue_pairs) {
    proto::QueuePair& pair = *message.add_queue_pairs();
    pair.set_number(address.number);
    pair.set_first_psn(address.first_psn);
  }
}

absl::StatusOr<GidEntry> ReadGid(const proto::Gid& message) {
  std::array<uint8_t, 16> bytes;
  if (message.gid().size() != bytes.size()) return Wrong("a GID's length");
  if (message.index() >= kMaxGids) return Wrong("a GID's index");
  if (message.type() > static_cast<uint32_t>(GidType::kRoceV2)) {
    return Wrong("a GID's type");
  }
  if (!IsName(message.netdev())) return Wrong("a netdev's name");
  std::copy_n(message.gid().begin(), bytes.size(), bytes.begin());
  return GidEntry{.index = static_cast<int>(message.index()),
                  .gid = Gid(bytes),
                  .type = static_cast<GidType>(message.type()),
                  .netdev = message.netdev()};
}

absl::StatusOr<NicPort> ReadPort(const proto::Port& message) {
  if (message.number() < 1 || message.number() > UINT8_MAX) {
    return Wrong("a port's number");
  }
  if (message.state() > static_cast<uint32_t>(PortState::kActiveDefer) ||
      message.link_layer() > static_cast<uint32_t>(LinkLayer::kEthernet) ||
      message.lid() > UINT16_MAX) {
    return Wrong("a port's state, link layer or LID");
  }
  if (message.gids_size() > kMaxGids) return Wrong("too many GIDs");
  NicPort port;
  port.number = static_cast<int>(message.number());
  port.state = static_cast<PortState>(message.state());
  port.link_layer = static_cast<LinkLayer>(message.link_layer());
  port.lid = static_cast<uint16_t>(message.lid());
  port.gids.emplace();
  for (const proto::Gid& entry : message.gids()) {
    TE_ASSIGN_OR_RETURN(GidEntry gid, ReadGid(entry));
    port.gids->push_back(std::move(gid));
  }
  return port;
}

absl::StatusOr<EndpointOffer> ReadOffer(const proto::Offer& message) {
  EndpointOffer offer;
  if (message.device().empty() || !IsName(message.device())) {
    return Wrong("a device's name");
  }
  offer.device = message.device();
  TE_ASSIGN_OR_RETURN(offer.port, ReadPort(message.port()));
  if (message.port().mtu() < 256 || message.port().mtu() > 4096) {
    return Wrong("an MTU");
  }
  offer.mtu = static_cast<int>(message.port().mtu());
  if (message.read_depth() < 1 || message.read_depth() > kMaxReadDepth) {
    return Wrong("the number of READs under way");
  }
  offer.read_depth = static_cast<int>(message.read_depth());
  if (message.queue_pairs_size() < 1 ||
      message.queue_pairs_size() > static_cast<int>(kMaxQueuePairs)) {
    return Wrong("the number of queue pairs");
  }
  for (const proto::QueuePair& pair : message.queue_pairs()) {
    if (pair.number() > kMax24Bits || pair.first_psn() > kMax24Bits) {
      return Wrong("a queue pair");
    }
    offer.queue_pairs.push_back(
        {.number = pair.number(), .first_psn = pair.first_psn()});
  }
  return offer;
}

template <typename Message>
bool Parse(absl::string_view bytes, Message& message) {
  return bytes.size() <= kMaxHandshakeBytes &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

std::string Serialize(const HandshakeRequest& request) {
  proto::Request message;
  message.set_wire_version(kWireVersion);
  message.set_server(request.server.bytes().data(), Incarnation::kBytes);
  message.set_rail_id(request.rail_id);
  message.set_session(request.session);
  message.set_epoch(request.epoch);
  message.set_client_nic(request.client_nic);
  message.set_server_nic(request.server_nic);
  if (request.offer) Fill(*request.offer, *message.mutable_offer());
  return message.SerializeAsString();
}

std::string Serialize(const HandshakeResponse& response) {
  proto::Response message;
  if (response.offer) Fill(*response.offer, *message.mutable_offer());
  message.set_nics(response.nics);
  message.set_server_nic(response.server_nic);
  message.set_by_gid(response.client_gid_index.has_value());
  message.set_client_gid_index(
      static_cast<uint32_t>(response.client_gid_index.value_or(0)));
  return message.SerializeAsString();
}

absl::StatusOr<HandshakeRequest> ParseRequest(absl::string_view bytes) {
  proto::Request message;
  if (!Parse(bytes, message)) return Wrong("not a request");
  if (message.wire_version() != kWireVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the peer speaks version ", message.wire_version(),
                     " of te's rdma protocol, this engine version ",
                     kWireVersion, "; run the same release on both"));
  }
  if (message.client_nic() >= kMaxNics || message.server_nic() >= kMaxNics) {
    return Wrong("a NIC's number");
  }
  TE_ASSIGN_OR_RETURN(
      const Incarnation server,
      Incarnation::FromBytes(absl::MakeConstSpan(
          reinterpret_cast<const uint8_t*>(message.server().data()),
          message.server().size())));
  HandshakeRequest request = {.server = server,
                              .rail_id = message.rail_id(),
                              .session = message.session(),
                              .epoch = message.epoch(),
                              .client_nic = message.client_nic(),
                              .server_nic = message.server_nic()};
  if (message.has_offer()) {
    TE_ASSIGN_OR_RETURN(request.offer, ReadOffer(message.offer()));
  }
  return request;
}

absl::StatusOr<HandshakeResponse> ParseResponse(absl::string_view bytes) {
  proto::Response message;
  if (!Parse(bytes, message)) return Wrong("not a response");
  if (message.nics() < 1 || message.nics() > kMaxNics ||
      message.server_nic() >= message.nics()) {
    return Wrong("the number of NICs");
  }
  HandshakeResponse response = {.nics = message.nics(),
                                .server_nic = message.server_nic()};
  if (message.has_offer()) {
    TE_ASSIGN_OR_RETURN(response.offer, ReadOffer(message.offer()));
  }
  if (message.by_gid()) {
    if (message.client_gid_index() >= kMaxGids) return Wrong("a GID's index");
    response.client_gid_index = static_cast<int>(message.client_gid_index());
  }
  return response;
}

}  // namespace te::rdma
