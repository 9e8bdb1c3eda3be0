#include "te/rdma/handshake.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/handshake.pb.h"

namespace te::rdma {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

EndpointOffer MakeOffer(size_t pairs) {
  EndpointOffer offer;
  offer.device = "mlx5_0";
  offer.port = {.number = 2,
                .state = PortState::kActive,
                .link_layer = LinkLayer::kEthernet,
                .lid = 0xfffe,
                .gids = {{{.index = 3,
                           .gid = Gid({1, 2, 3}),
                           .type = GidType::kRoceV2,
                           .netdev = "eth0"},
                          {.index = 255, .gid = Gid({9})}}}};
  offer.mtu = 4096;
  offer.read_depth = 16;
  for (size_t i = 0; i < pairs; ++i) {
    offer.queue_pairs.push_back(
        {.number = 0xffffff, .first_psn = static_cast<uint32_t>(i)});
  }
  return offer;
}

HandshakeRequest MakeRequest() {
  return {.server = Incarnation({7, 8, 9}),
          .rail_id = UINT64_MAX,
          .session = 2,
          .epoch = 3,
          .client_nic = kMaxNics - 1,
          .server_nic = 4,
          .offer = MakeOffer(2)};
}

HandshakeResponse MakeResponse() {
  return {.offer = MakeOffer(kMaxQueuePairs),
          .nics = kMaxNics,
          .server_nic = kMaxNics - 1,
          .client_gid_index = 3};
}

TEST(HandshakeTest, RequestsRoundTrip) {
  HandshakeRequest request = MakeRequest();
  EXPECT_THAT(ParseRequest(Serialize(request)), IsOkAndHolds(request));
  request.offer.reset();
  EXPECT_THAT(ParseRequest(Serialize(request)), IsOkAndHolds(request));
}

TEST(HandshakeTest, ResponsesRoundTrip) {
  HandshakeResponse response = MakeResponse();
  EXPECT_THAT(ParseResponse(Serialize(response)), IsOkAndHolds(response));
  response.client_gid_index.reset();
  EXPECT_THAT(ParseResponse(Serialize(response)), IsOkAndHolds(response));
  response.client_gid_index = 0;
  EXPECT_THAT(ParseResponse(Serialize(response)), IsOkAndHolds(response));
  response.offer.reset();
  EXPECT_THAT(ParseResponse(Serialize(response)), IsOkAndHolds(response));
}

// A device's whole table fits.
TEST(HandshakeTest, TheLargestOfferRoundTrips) {
  HandshakeRequest request = MakeRequest();
  request.offer = MakeOffer(kMaxQueuePairs);
  request.offer->port.gids->clear();
  for (int i = 0; i < 256; ++i) {
    request.offer->port.gids->push_back(
        {.index = i, .gid = Gid({1}), .netdev = std::string(64, 'n')});
  }
  const std::string bytes = Serialize(request);
  EXPECT_LE(bytes.size(), kMaxHandshakeBytes);
  EXPECT_THAT(ParseRequest(bytes), IsOkAndHolds(request));
}

template <typename Message>
struct Spoil {
  std::string what;
  std::function<void(Message&)> how;
};

std::vector<Spoil<proto::Offer>> OfferSpoils() {
  using M = proto::Offer;
  return {{"a device's name", [](M& m) { m.clear_device(); }},
          {"a device's name", [](M& m) { m.set_device("a b"); }},
          {"a device's name", [](M& m) { m.set_device("a\n"); }},
          {"a device's name", [](M& m) { m.set_device(std::string(65, 'x')); }},
          {"a port's number", [](M& m) { m.clear_port(); }},
          {"a port's number", [](M& m) { m.mutable_port()->set_number(0); }},
          {"a port's number", [](M& m) { m.mutable_port()->set_number(256); }},
          {"state", [](M& m) { m.mutable_port()->set_state(6); }},
          {"link layer", [](M& m) { m.mutable_port()->set_link_layer(3); }},
          {"LID", [](M& m) { m.mutable_port()->set_lid(0x10000); }},
          {"an MTU", [](M& m) { m.mutable_port()->set_mtu(255); }},
          {"an MTU", [](M& m) { m.mutable_port()->set_mtu(4097); }},
          {"an MTU", [](M& m) { m.mutable_port()->set_mtu(UINT32_MAX); }},
          {"too many GIDs",
           [](M& m) {
             const proto::Gid gid = m.port().gids(0);
             while (m.port().gids_size() <= 256)
               *m.mutable_port()->add_gids() = gid;
           }},
          {"a GID's length",
           [](M& m) { m.mutable_port()->mutable_gids(1)->set_gid("short"); }},
          {"a GID's length",
           [](M& m) {
             m.mutable_port()->mutable_gids(1)->set_gid(std::string(17, 1));
           }},
          {"a GID's index",
           [](M& m) { m.mutable_port()->mutable_gids(0)->set_index(256); }},
          {"a GID's type",
           [](M& m) { m.mutable_port()->mutable_gids(0)->set_type(4); }},
          {"a netdev's name",
           [](M& m) { m.mutable_port()->mutable_gids(0)->set_netdev("\x7f"); }},
          {"READs", [](M& m) { m.set_read_depth(0); }},
          {"READs", [](M& m) { m.set_read_depth(256); }},
          {"number of queue pairs", [](M& m) { m.clear_queue_pairs(); }},
          {"number of queue pairs",
           [](M& m) {
             while (m.queue_pairs_size() <= static_cast<int>(kMaxQueuePairs)) {
               m.add_queue_pairs();
             }
           }},
          {"a queue pair",
           [](M& m) { m.mutable_queue_pairs(0)->set_number(1 << 24); }},
          {"a queue pair",
           [](M& m) { m.mutable_queue_pairs(0)->set_first_psn(1 << 24); }}};
}

template <typename Message>
Message Parsed(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

TEST(HandshakeTest, MalformedOffersAreRefused) {
  for (const auto& spoil : OfferSpoils()) {
    auto request = Parsed<proto::Request>(Serialize(MakeRequest()));
    spoil.how(*request.mutable_offer());
    EXPECT_THAT(ParseRequest(request.SerializeAsString()),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(spoil.what)));
    auto response = Parsed<proto::Response>(Serialize(MakeResponse()));
    spoil.how(*response.mutable_offer());
    EXPECT_THAT(ParseResponse(response.SerializeAsString()),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(spoil.what)));
  }
}

TEST(HandshakeTest, MalformedRequestsAreRefused) {
  using M = proto::Request;
  const std::vector<Spoil<M>> spoils = {
      {"a NIC's number", [](M& m) { m.set_client_nic(kMaxNics); }},
      {"a NIC's number", [](M& m) { m.set_server_nic(kMaxNics); }},
      {"", [](M& m) { m.clear_server(); }},
      {"", [](M& m) { m.set_server(std::string(15, 1)); }},
      {"", [](M& m) { m.set_server(std::string(17, 1)); }}};
  for (const auto& spoil : spoils) {
    auto request = Parsed<M>(Serialize(MakeRequest()));
    spoil.how(request);
    EXPECT_THAT(ParseRequest(request.SerializeAsString()),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(spoil.what)));
  }
}

TEST(HandshakeTest, MalformedResponsesAreRefused) {
  using M = proto::Response;
  const std::vector<Spoil<M>> spoils = {
      {"number of NICs", [](M& m) { m.set_nics(0); }},
      {"number of NICs", [](M& m) { m.set_nics(kMaxNics + 1); }},
      {"number of NICs", [](M& m) { m.set_server_nic(m.nics()); }},
      {"a GID's index", [](M& m) { m.set_client_gid_index(256); }}};
  for (const auto& spoil : spoils) {
    auto response = Parsed<M>(Serialize(MakeResponse()));
    spoil.how(response);
    EXPECT_THAT(ParseResponse(response.SerializeAsString()),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(spoil.what)));
  }
}

TEST(HandshakeTest, AnotherVersionIsRefused) {
  for (const uint32_t version : {0u, kWireVersion + 1, UINT32_MAX}) {
    auto request = Parsed<proto::Request>(Serialize(MakeRequest()));
    request.set_wire_version(version);
    EXPECT_THAT(ParseRequest(request.SerializeAsString()),
                StatusIs(StatusCode::kFailedPrecondition,
                         HasSubstr("version " + std::to_string(version))));
  }
}

TEST(HandshakeTest, WhatIsNoMessageIsRefused) {
  // A field of length 127 of which there is nothing.
  for (const std::string& bytes :
       {std::string("\x0a\x7f", 2), std::string(kMaxHandshakeBytes + 1, 0)}) {
    EXPECT_THAT(ParseRequest(bytes), StatusIs(StatusCode::kInvalidArgument));
    EXPECT_THAT(ParseResponse(bytes), StatusIs(StatusCode::kInvalidArgument));
  }
  const std::string request = Serialize(MakeRequest());
  for (size_t size = 0; size < request.size(); ++size) {
    // A part of a message may be one by itself.
    ParseRequest(request.substr(0, size)).status().IgnoreError();
  }
  EXPECT_FALSE(ParseRequest("").ok());
  EXPECT_FALSE(ParseResponse("").ok());
}

}  // namespace
}  // namespace te::rdma
