#include "te/rdma/queue_pair.h"

#include <infiniband/verbs.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/nic_fixture.h"
#include "te/rdma/verbs/forwarding_verbs.h"
#include "te/rdma/verbs/objects.h"
#include "te/topology/gid.h"

namespace te::rdma {
namespace {

using absl::StatusCode;
using emulated::InfiniBandDevice;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Queue pairs may have so many bytes inline, whatever was asked for.
class InlineVerbs final : public ForwardingVerbs {
 public:
  InlineVerbs(std::shared_ptr<Verbs> target, uint32_t granted)
      : ForwardingVerbs(std::move(target)), granted_(granted) {}

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override {
    ibv_qp* const qp = ForwardingVerbs::CreateQp(pd, attr);
    attr->cap.max_inline_data = granted_;
    return qp;
  }

 private:
  const uint32_t granted_;
};

// Send queues have room for so many pieces, of all work requests together.
class ShortVerbs final : public ForwardingVerbs {
 public:
  using ForwardingVerbs::ForwardingVerbs;

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override {
    constexpr uint32_t kPieces = 16384;
    if (attr->cap.max_send_wr * attr->cap.max_send_sge > kPieces) {
      errno = ENOMEM;
      return nullptr;
    }
    return ForwardingVerbs::CreateQp(pd, attr);
  }
};

class QueuePairTest : public NicFixture {
 protected:
  void SetUp() override {
    NicFixture::SetUp();
    MakeQueue();
  }
  void TearDown() override {
    queue_.Reset();
    NicFixture::TearDown();
  }
  void MakeQueue() {
    queue_ = CompletionQueueObject(
        a_->verbs(),
        a_->verbs().CreateCq(a_->context(), 16, nullptr, nullptr, 0));
  }
  absl::StatusOr<QueuePair> Make(QueuePairLimits& limits, int pkey_index = 0) {
    return QueuePair::Create(*a_, queue_.get(), pkey_index, limits);
  }
  absl::StatusOr<QueuePair> Make() {
    QueuePairLimits limits;
    return Make(limits);
  }
  // A peer's, of which nobody knows anything.
  absl::Status ConnectToNobody(QueuePair& pair) {
    return pair.Connect(*a_, {.number = 1000, .first_psn = 5}, PathTo(*b_));
  }
  static int PostEmptyWrite(const QueuePair& pair) {
    ibv_send_wr request = {};
    request.opcode = IBV_WR_RDMA_WRITE;
    request.send_flags = IBV_SEND_SIGNALED;
    ibv_send_wr* bad = nullptr;
    return ibv_post_send(pair.get(), &request, &bad);
  }

  CompletionQueueObject queue_;
};

TEST_F(QueuePairTest, HasAnAddressOfItsOwn) {
  TE_ASSERT_OK_AND_ASSIGN(const QueuePair one, Make());
  TE_ASSERT_OK_AND_ASSIGN(const QueuePair two, Make());
  EXPECT_EQ(one.address().number, one.get()->qp_num);
  EXPECT_NE(one.address().number, two.address().number);
  // Else the device refuses it.
  EXPECT_LE(one.address().first_psn, 0xffffffu);
  EXPECT_EQ(AttributesOf(*a_, one).qp_state, IBV_QPS_INIT);
}

TEST_F(QueuePairTest, HasTheLimitsThatWereAskedFor) {
  QueuePairLimits limits = {.max_wr = 40, .max_sge = 3, .max_inline = 100};
  TE_ASSERT_OK_AND_ASSIGN(const QueuePair pair, Make(limits));
  const ibv_qp_cap cap = AttributesOf(*a_, pair).cap;
  EXPECT_EQ(cap.max_send_wr, 40u);
  EXPECT_EQ(cap.max_send_sge, 3u);
  EXPECT_EQ(cap.max_inline_data, 100u);
  EXPECT_EQ(limits.max_inline, 100u);
}

TEST_F(QueuePairTest, SendsNothingInlineWhereTheDeviceDoesNot) {
  QueuePairLimits limits = {.max_wr = 40, .max_sge = 3, .max_inline = 1000};
  TE_ASSERT_OK_AND_ASSIGN(const QueuePair pair, Make(limits));
  EXPECT_EQ(limits.max_inline, 0u);
  EXPECT_EQ(limits.max_wr, 40u);
  EXPECT_EQ(AttributesOf(*a_, pair).cap.max_inline_data, 0u);
}

TEST_F(QueuePairTest, SendsNoMoreInlineThanWasAskedForOrGranted) {
  for (const uint32_t granted : {0u, 28u, 64u, 220u}) {
    queue_.Reset();
    TE_ASSERT_OK_AND_ASSIGN(a_, Device::Open(std::make_shared<InlineVerbs>(
                                                 fabric_.VerbsOf("a"), granted),
                                             "mlx5_0", std::nullopt));
    MakeQueue();
    QueuePairLimits limits = {.max_inline = 64};
    TE_EXPECT_OK(Make(limits));
    EXPECT_EQ(limits.max_inline, std::min(granted, 64u));
  }
}

TEST_F(QueuePairTest, WhatTheDeviceCannotDoAtAllIsAnError) {
  QueuePairLimits limits = {.max_wr = 1 << 20, .max_inline = 64};
  EXPECT_THAT(Make(limits), StatusIs(StatusCode::kInvalidArgument,
                                     AllOf(HasSubstr("ibv_create_qp on mlx5_0"),
                                           HasSubstr("max_wr 1048576"),
                                           HasSubstr("; lower max_wr: "))));
  limits = {.max_wr = 40, .max_sge = 1000};
  EXPECT_THAT(Make(limits), StatusIs(StatusCode::kInvalidArgument,
                                     HasSubstr("; lower max_sge: ")));
  // Then none of them is to blame alone.
  limits = {.max_wr = 1 << 20, .max_sge = 1000};
  EXPECT_THAT(Make(limits),
              StatusIs(StatusCode::kInvalidArgument, Not(HasSubstr("lower"))));
  limits = {};
  EXPECT_THAT(Make(limits, /*pkey_index=*/1),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("INIT"), HasSubstr("pkey_index 1"))));
  EXPECT_EQ(emulated_a_.live_objects().qps, 0);
}

TEST_F(QueuePairTest, AShortageSaysWhatNeedsLess) {
  fabric_.FailControlVerb("a", 1, ENOMEM);
  EXPECT_THAT(Make(),
              StatusIs(StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("ulimit -l"), HasSubstr("max_endpoints"),
                             HasSubstr("max_wr"))));
}

// Mellanox devices say so where work requests are too long for so many.
TEST_F(QueuePairTest, AShortageSaysWhichOptionItIsAbout) {
  queue_.Reset();
  TE_ASSERT_OK_AND_ASSIGN(
      a_, Device::Open(std::make_shared<ShortVerbs>(fabric_.VerbsOf("a")),
                       "mlx5_0", std::nullopt));
  QueuePairLimits limits = {.max_wr = 8192, .max_sge = 4, .max_inline = 64};
  MakeQueue();
  EXPECT_THAT(Make(limits),
              StatusIs(StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("with max_wr 8192 and max_sge 4; lower "
                                       "max_wr"),
                             HasSubstr("ulimit -l"))));
  EXPECT_EQ(emulated_a_.live_objects().qps, 0);
  limits.max_wr = 4096;
  TE_EXPECT_OK(Make(limits));
}

TEST_F(QueuePairTest, ConnectsWithWhatThePathSays) {
  TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
  const Gid remote = b_->port().nic.gids->back().gid;
  TE_ASSERT_OK(pair.Connect(*a_, {.number = 1000, .first_psn = 77},
                            {.by_gid = true,
                             .local_gid_index = 3,
                             .remote_gid = remote,
                             .mtu = 2048,
                             .reads_sent = 7,
                             .reads_served = 5,
                             .service_level = 4,
                             .traffic_class = 104,
                             .ack_timeout = 17,
                             .retry_count = 6}));
  const ibv_qp_attr attr = AttributesOf(*a_, pair);
  EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
  EXPECT_EQ(attr.dest_qp_num, 1000u);
  EXPECT_EQ(attr.rq_psn, 77u);
  EXPECT_EQ(attr.sq_psn, pair.address().first_psn);
  EXPECT_EQ(attr.path_mtu, IBV_MTU_2048);
  EXPECT_EQ(attr.max_rd_atomic, 7);
  EXPECT_EQ(attr.max_dest_rd_atomic, 5);
  EXPECT_EQ(attr.timeout, 17);
  EXPECT_EQ(attr.retry_cnt, 6);
  EXPECT_EQ(attr.ah_attr.is_global, 1);
  EXPECT_EQ(attr.ah_attr.sl, 4);
  EXPECT_EQ(attr.ah_attr.grh.sgid_index, 3);
  EXPECT_EQ(attr.ah_attr.grh.traffic_class, 104);
  EXPECT_GT(attr.ah_attr.grh.hop_limit, 1) << "it must pass routers";
  EXPECT_TRUE(std::equal(remote.bytes().begin(), remote.bytes().end(),
                         attr.ah_attr.grh.dgid.raw));
}

TEST_F(QueuePairTest, TheMtuIsTheLargestThatFits) {
  const std::vector<std::pair<int, ibv_mtu>> cases = {
      {256, IBV_MTU_256},   {512, IBV_MTU_512},   {1023, IBV_MTU_512},
      {1024, IBV_MTU_1024}, {1500, IBV_MTU_1024}, {2048, IBV_MTU_2048},
      {4096, IBV_MTU_4096}, {9000, IBV_MTU_4096}};
  for (const auto& [bytes, expected] : cases) {
    TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
    Path path = PathTo(*b_);
    path.mtu = bytes;
    TE_ASSERT_OK(pair.Connect(*a_, {.number = 1000}, path));
    EXPECT_EQ(AttributesOf(*a_, pair).path_mtu, expected) << bytes;
  }
}

TEST_F(QueuePairTest, ConnectsByLid) {
  fabric_.AddDevice("a", InfiniBandDevice("ib_0", 7));
  fabric_.AddDevice("b", InfiniBandDevice("ib_0", 9));
  TE_ASSERT_OK_AND_ASSIGN(
      const auto a, Device::Open(fabric_.VerbsOf("a"), "ib_0", std::nullopt));
  TE_ASSERT_OK_AND_ASSIGN(
      const auto b, Device::Open(fabric_.VerbsOf("b"), "ib_0", std::nullopt));
  TE_ASSERT_OK_AND_ASSIGN(End a_end, MakeEnd(*a, {}));
  TE_ASSERT_OK_AND_ASSIGN(End b_end, MakeEnd(*b, {}));
  Path path = {.by_gid = false, .remote_lid = 9, .mtu = 4096};
  TE_ASSERT_OK(a_end.pair->Connect(*a, b_end.pair->address(), path));
  path.remote_lid = 7;
  TE_ASSERT_OK(b_end.pair->Connect(*b, a_end.pair->address(), path));
  const ibv_qp_attr attr = AttributesOf(*a, *a_end.pair);
  EXPECT_EQ(attr.ah_attr.is_global, 0);
  EXPECT_EQ(attr.ah_attr.dlid, 9);
  ASSERT_EQ(PostEmptyWrite(*a_end.pair), 0);
  const std::vector<ibv_wc> completions = Completions(a_end);
  ASSERT_EQ(completions.size(), 1);
  EXPECT_EQ(completions[0].status, IBV_WC_SUCCESS);
}

TEST_F(QueuePairTest, ConnectsOnce) {
  TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
  TE_ASSERT_OK(ConnectToNobody(pair));
  EXPECT_THAT(ConnectToNobody(pair),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("to RTR")));
  EXPECT_EQ(AttributesOf(*a_, pair).qp_state, IBV_QPS_RTS);
}

TEST_F(QueuePairTest, DoesNotConnectOnceItIsBroken) {
  TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
  TE_ASSERT_OK(pair.Break(*a_));
  EXPECT_THAT(ConnectToNobody(pair),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("to RTR")));
  TE_EXPECT_OK(pair.Break(*a_));
}

TEST_F(QueuePairTest, BreakFlushesWhatIsPosted) {
  TE_ASSERT_OK_AND_ASSIGN(End a, MakeEnd(*a_, {.max_wr = 16}));
  TE_ASSERT_OK_AND_ASSIGN(End b, MakeEnd(*b_, {}));
  TE_ASSERT_OK(Connect(a, b));
  // Else it would be done at once.
  fabric_.SetFaultScript([](const emulated::WorkRequestInfo&) {
    emulated::Fault fault;
    fault.hang = emulated::Hang::kUntilError;
    return fault;
  });
  ASSERT_EQ(PostEmptyWrite(*a.pair), 0);
  ASSERT_EQ(PostEmptyWrite(*a.pair), 0);
  EXPECT_TRUE(Completions(a).empty());
  TE_ASSERT_OK(a.pair->Break(*a_));
  const std::vector<ibv_wc> completions = Completions(a);
  ASSERT_EQ(completions.size(), 2);
  for (const ibv_wc& completion : completions) {
    EXPECT_EQ(completion.status, IBV_WC_WR_FLUSH_ERR);
  }
}

// ETIMEDOUT: not DEADLINE_EXCEEDED, which would be the caller's and not be
// tried again.
TEST_F(QueuePairTest, AGidThatIsNotResolvedMayBeTriedAgain) {
  for (const int error : {ETIMEDOUT, EHOSTUNREACH}) {
    TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
    fabric_.FailControlVerb("a", 1, error);
    EXPECT_THAT(
        ConnectToNobody(pair),
        StatusIs(StatusCode::kUnavailable,
                 AllOf(HasSubstr("cannot be resolved"), HasSubstr("to RTR"),
                       HasSubstr("GID index 3 to ::ffff:10.0.0.2"),
                       HasSubstr("MTU 4096"), HasSubstr("on mlx5_0"))));
    TE_EXPECT_OK(ConnectToNobody(pair));
  }
}

TEST_F(QueuePairTest, SaysWhichStepFailed) {
  TE_ASSERT_OK_AND_ASSIGN(QueuePair pair, Make());
  Path path = {.by_gid = false, .remote_lid = 12, .mtu = 1024};
  // RoCE has no LIDs.
  EXPECT_THAT(pair.Connect(*a_, {.number = 1000}, path),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("to RTR"), HasSubstr("LID 12"),
                             HasSubstr("MTU 1024"))));
  fabric_.FailControlVerb("a", 2, EIO);
  EXPECT_THAT(std::string(ConnectToNobody(pair).message()),
              HasSubstr("to RTS"));
  fabric_.FailControlVerb("a", 1, EIO);
  EXPECT_THAT(std::string(pair.Break(*a_).message()), HasSubstr("to ERR"));
}

}  // namespace
}  // namespace te::rdma
