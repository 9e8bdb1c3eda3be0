#include "te/rdma/connection.h"

#include <infiniband/verbs.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/device.h"
#include "te/rdma/device_worker.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/nic_fixture.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/queue_pair.h"
#include "te/rdma/rdma_options.h"
#include "te/topology/nic.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using absl::StatusCode;
using emulated::EmulatedDevice;
using emulated::EmulatedDeviceSpec;
using emulated::InfiniBandDevice;
using emulated::LiveObjects;
using emulated::RoceDevice;
using testing::AllOf;
using testing::HasSubstr;

// Nothing is sent here that it could be called for.
class NoClient final : public DeviceWorker::Client {
 public:
  Progress OnCompletions() override { return Progress::kIdle; }
  void Rest() override {}
  bool wants_glances() const override { return false; }
  void Glance() override {}
};

class ConnectionTest : public NicFixture {
 protected:
  void TearDown() override {
    for (auto& connection : made_) DropConnection(nic_, std::move(connection));
    EXPECT_EQ(store_.size(), 0u);
    peers_.clear();
    RemoveNic();
    NicFixture::TearDown();
  }

  // The NIC of host "a" that is used from here on.
  EmulatedDevice& AddNic(const EmulatedDeviceSpec& spec) {
    EmulatedDevice& emulated = fabric_.AddDevice("a", spec);
    auto device = Device::Open(fabric_.VerbsOf("a"), spec.name, std::nullopt);
    TE_EXPECT_OK(device);
    nic_.device = *std::move(device);
    auto worker = DeviceWorker::Create(*nic_.device, {.name = "test"},
                                       [](ibv_event_type) {});
    TE_EXPECT_OK(worker);
    nic_.worker = *std::move(worker);
    return emulated;
  }
  void RemoveNic() {
    nic_.worker.reset();
    nic_.device.reset();
  }
  EmulatedDevice& AddRoceNic() { return AddNic(RoceSpec()); }
  static EmulatedDeviceSpec RoceSpec() {
    return RoceDevice("roce_0", {10, 0, 0, 3});
  }

  absl::Status Make(const RdmaOptions& options) {
    auto place = store_.Take({}, kNoDeadline);
    if (!place.ok()) return place.status();
    auto connection = MakeConnection(nic_, options, *std::move(place), client_);
    if (!connection.ok()) return connection.status();
    made_.push_back(*std::move(connection));
    return absl::OkStatus();
  }
  Connection& made() { return *made_.back(); }
  ibv_qp_attr Attributes(size_t queue) {
    return AttributesOf(*nic_.device, made().queues[queue]->pair());
  }

  // What a peer on host "b" answers, with as many queue pairs.
  HandshakeResponse Answer(int queue_pairs) {
    HandshakeResponse response;
    EndpointOffer offer = {
        .device = "mlx5_0", .port = b_->port().nic, .mtu = b_->port().mtu};
    offer.port.gids = {{offer.port.gids->back()}};
    offer.read_depth = 16;
    for (int i = 0; i < queue_pairs; ++i) {
      auto end = MakeEnd(*b_, {});
      TE_EXPECT_OK(end);
      peers_.push_back(*std::move(end));
      offer.queue_pairs.push_back(peers_.back().pair->address());
    }
    response.offer = std::move(offer);
    response.client_gid_index = 3;
    return response;
  }

  NicUnit nic_;
  NoClient client_;
  EndpointStore store_{16};
  std::vector<std::unique_ptr<Connection>> made_;
  std::vector<End> peers_;
};

TEST_F(ConnectionTest, HasWhatTheOptionsSay) {
  AddRoceNic();
  RdmaOptions options;
  options.num_qp = 3;
  options.max_wr = 100;
  options.max_sge = 2;
  options.max_inline = 32;
  TE_ASSERT_OK(Make(options));
  ASSERT_EQ(made().queues.size(), 3);
  EXPECT_EQ(made().limits.max_wr, 100u);
  EXPECT_EQ(made().limits.max_sge, 2u);
  EXPECT_EQ(made().limits.max_inline, 32u);
  // All work requests may be flushed at once, and a receive of each.
  EXPECT_EQ(made().completions->cqe, 3 * 101);
  for (size_t i = 0; i < 3; ++i) {
    const ibv_qp_attr attr = Attributes(i);
    EXPECT_EQ(attr.qp_state, IBV_QPS_INIT);
    EXPECT_EQ(attr.cap.max_send_wr, 100u);
    EXPECT_EQ(attr.cap.max_send_sge, 2u);
    EXPECT_EQ(attr.cap.max_inline_data, 32u);
  }
}

TEST_F(ConnectionTest, IsCappedToWhatTheDeviceCanDo) {
  EmulatedDeviceSpec spec = RoceSpec();
  spec.max_qp_wr = 50;
  spec.max_sge = 3;
  spec.max_inline_data = 0;
  spec.max_msg_sz = 8 << 20;
  AddNic(spec);
  RdmaOptions options;
  options.max_wr = 1000;
  options.max_sge = 16;
  options.max_inline = 64;
  TE_ASSERT_OK(Make(options));
  EXPECT_EQ(made().limits.max_wr, 50u);
  EXPECT_EQ(made().limits.max_sge, 3u);
  EXPECT_EQ(made().limits.max_inline, 0u);
  EXPECT_EQ(made().max_message_bytes, uint32_t{8} << 20);
}

TEST_F(ConnectionTest, ADeviceThatDoesTooLittleIsToldApart) {
  EmulatedDeviceSpec spec = RoceSpec();
  spec.max_msg_sz = 1 << 20;
  AddNic(spec);
  EXPECT_THAT(Make({}), StatusIs(StatusCode::kFailedPrecondition,
                                 AllOf(HasSubstr("roce_0"),
                                       HasSubstr("1048576 bytes at once"))));
  spec = RoceDevice("roce_1", {10, 0, 0, 4});
  spec.max_cqe = 100;
  RemoveNic();
  AddNic(spec);
  RdmaOptions options;
  options.num_qp = 6;
  EXPECT_THAT(Make(options),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("100 entries"), HasSubstr("num_qp 6"),
                             HasSubstr("lower num_qp"))));
  options.num_qp = 5;
  TE_EXPECT_OK(Make(options));
}

// Soft-RoCE has 32767 completions, and queue pairs of 16384 work requests.
TEST_F(ConnectionTest, IsCappedToTheCompletionsThatTheDeviceHas) {
  EmulatedDeviceSpec spec = RoceSpec();
  spec.max_cqe = 500;
  AddNic(spec);
  RdmaOptions options;
  options.num_qp = 2;
  options.max_wr = 16384;
  TE_ASSERT_OK(Make(options));
  EXPECT_EQ(made().limits.max_wr, 249u);
  EXPECT_EQ(MaxWr(*nic_.device, options), 249);
}

TEST_F(ConnectionTest, LeavesNothingBehindIfItCannotBeMade) {
  EmulatedDeviceSpec spec = RoceSpec();
  spec.max_qp = 2;
  EmulatedDevice& emulated = AddNic(spec);
  const LiveObjects before = emulated.live_objects();
  RdmaOptions options;
  options.num_qp = 3;
  EXPECT_THAT(Make(options), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(emulated.live_objects(), before);
  EXPECT_EQ(store_.size(), 0u);
  // Which makes sure that all of its queues were dropped.
  RemoveNic();
}

TEST_F(ConnectionTest, OffersWhatTheOptionsAndThePortAllow) {
  EmulatedDeviceSpec spec = RoceSpec();
  spec.max_qp_rd_atom = 5;
  spec.ports[0].active_mtu = IBV_MTU_2048;
  AddNic(spec);
  RdmaOptions options;
  TE_ASSERT_OK(Make(options));
  EndpointOffer offer = OfferOf(nic_, made(), options);
  EXPECT_EQ(offer.device, "roce_0");
  EXPECT_EQ(offer.port, nic_.device->port().nic);
  EXPECT_EQ(offer.mtu, 2048);
  EXPECT_EQ(offer.read_depth, 5);
  ASSERT_EQ(offer.queue_pairs.size(), made().queues.size());
  for (size_t i = 0; i < offer.queue_pairs.size(); ++i) {
    EXPECT_EQ(offer.queue_pairs[i], made().queues[i]->pair().address());
  }
  options.mtu = 4096;
  EXPECT_EQ(OfferOf(nic_, made(), options).mtu, 2048);
  options.mtu = 1024;
  options.max_read_depth = 3;
  options.gid_index = 2;
  offer = OfferOf(nic_, made(), options);
  EXPECT_EQ(offer.mtu, 1024);
  EXPECT_EQ(offer.read_depth, 3);
  ASSERT_EQ(offer.port.gids->size(), 1);
  EXPECT_EQ(offer.port.gids->front().index, 2);
}

TEST_F(ConnectionTest, ConnectsEachQueuePairToItsOwn) {
  AddRoceNic();
  RdmaOptions options;
  options.num_qp = 3;
  options.ack_timeout = 11;
  options.retry_count = 2;
  options.service_level = 3;
  options.traffic_class = 96;
  TE_ASSERT_OK(Make(options));
  HandshakeResponse response = Answer(3);
  response.nics = 4;
  response.server_nic = 2;
  response.offer->read_depth = 9;
  TE_ASSERT_OK(rdma::Connect(nic_, response, options, made()));
  EXPECT_EQ(made().remote_nics, 4u);
  EXPECT_EQ(made().remote_nic, 2u);
  EXPECT_THAT(made().description,
              AllOf(HasSubstr("roce_0 port 1"), HasSubstr("::ffff:10.0.0.3"),
                    HasSubstr("to mlx5_0"), HasSubstr("::ffff:10.0.0.2")));
  const auto& gid = response.offer->port.gids->front().gid.bytes();
  for (size_t i = 0; i < 3; ++i) {
    const ibv_qp_attr attr = Attributes(i);
    EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
    EXPECT_EQ(attr.dest_qp_num, response.offer->queue_pairs[i].number);
    EXPECT_EQ(attr.rq_psn, response.offer->queue_pairs[i].first_psn);
    EXPECT_EQ(attr.max_rd_atomic, 9) << "what the peer serves";
    EXPECT_EQ(attr.timeout, 11);
    EXPECT_EQ(attr.retry_cnt, 2);
    EXPECT_EQ(attr.ah_attr.is_global, 1);
    EXPECT_EQ(attr.ah_attr.sl, 3);
    EXPECT_EQ(attr.ah_attr.grh.sgid_index, 3);
    EXPECT_EQ(attr.ah_attr.grh.traffic_class, 96);
    EXPECT_TRUE(std::equal(gid.begin(), gid.end(), attr.ah_attr.grh.dgid.raw));
  }
}

TEST_F(ConnectionTest, TheMtuIsTheLeastOfBothEndsAndTheOptions) {
  struct Case {
    ibv_mtu port;
    int peer;
    std::optional<int> option;
    ibv_mtu expected;
  };
  const Case cases[] = {
      {IBV_MTU_4096, 4096, std::nullopt, IBV_MTU_4096},
      {IBV_MTU_1024, 4096, std::nullopt, IBV_MTU_1024},
      {IBV_MTU_4096, 512, std::nullopt, IBV_MTU_512},
      {IBV_MTU_2048, 1024, 256, IBV_MTU_256},
      {IBV_MTU_1024, 2048, 4096, IBV_MTU_1024},
  };
  uint8_t number = 10;
  for (const Case& c : cases) {
    EmulatedDeviceSpec spec =
        RoceDevice(absl::StrCat("roce_", int{number}), {10, 0, 0, number});
    spec.ports[0].active_mtu = c.port;
    AddNic(spec);
    RdmaOptions options;
    options.mtu = c.option;
    TE_ASSERT_OK(Make(options));
    HandshakeResponse response = Answer(options.num_qp);
    response.offer->mtu = c.peer;
    TE_ASSERT_OK(rdma::Connect(nic_, response, options, made()));
    EXPECT_EQ(Attributes(0).path_mtu, c.expected);
    DropConnection(nic_, std::move(made_.back()));
    made_.clear();
    RemoveNic();
    ++number;
  }
}

TEST_F(ConnectionTest, ConnectsByLidWhereThereIsNoGidToUse) {
  AddNic(InfiniBandDevice("ib_0", 7));
  const RdmaOptions options;
  TE_ASSERT_OK(Make(options));
  HandshakeResponse response = Answer(options.num_qp);
  response.client_gid_index = std::nullopt;
  response.offer->port.gids->clear();
  response.offer->port.lid = 9;
  TE_ASSERT_OK(rdma::Connect(nic_, response, options, made()));
  EXPECT_THAT(made().description,
              AllOf(HasSubstr("LID 7"), HasSubstr("LID 9")));
  for (size_t i = 0; i < made().queues.size(); ++i) {
    const ibv_qp_attr attr = Attributes(i);
    EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
    EXPECT_EQ(attr.ah_attr.is_global, 0);
    EXPECT_EQ(attr.ah_attr.dlid, 9);
  }
}

TEST_F(ConnectionTest, RefusesAnswersThatMakeNoSense) {
  AddRoceNic();
  const RdmaOptions options;
  TE_ASSERT_OK(Make(options));
  const HandshakeResponse good = Answer(options.num_qp);
  HandshakeResponse response = good;
  response.offer.reset();
  EXPECT_THAT(rdma::Connect(nic_, response, options, made()),
              StatusIs(StatusCode::kInvalidArgument));
  response = good;
  response.offer->queue_pairs.pop_back();
  EXPECT_THAT(rdma::Connect(nic_, response, options, made()),
              StatusIs(StatusCode::kInvalidArgument));
  for (const bool empty : {false, true}) {
    response = good;
    response.offer->port.gids.reset();
    if (empty) response.offer->port.gids.emplace();
    EXPECT_THAT(rdma::Connect(nic_, response, options, made()),
                StatusIs(StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(Attributes(0).qp_state, IBV_QPS_INIT);
  TE_EXPECT_OK(rdma::Connect(nic_, good, options, made()));
}

TEST_F(ConnectionTest, SaysWhichEndsCannotBeConnectedAndWhy) {
  AddRoceNic();
  const RdmaOptions options;
  TE_ASSERT_OK(Make(options));
  fabric_.FailControlVerb("a", 1, ETIMEDOUT);
  EXPECT_THAT(
      rdma::Connect(nic_, Answer(options.num_qp), options, made()),
      StatusIs(StatusCode::kUnavailable,
               AllOf(HasSubstr("::ffff:10.0.0.3"), HasSubstr("::ffff:10.0.0.2"),
                     HasSubstr("cannot be resolved"))));
}

}  // namespace
}  // namespace te::rdma
