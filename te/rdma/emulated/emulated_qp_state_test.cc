// The states of queue pairs, and who is connected to whom.

#include <infiniband/verbs.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

using testing::IsEmpty;

class EmulatedQpState : public testing::Test {
 protected:
  int Modify(ibv_qp_attr attr, int mask) {
    return a_.verbs->ModifyQp(a_.qp, &attr, mask);
  }
  int ModifyState(ibv_qp_state state) {
    ibv_qp_attr attr = {};
    attr.qp_state = state;
    return Modify(attr, IBV_QP_STATE);
  }
  // Takes a_ to a state from RESET.
  void Enter(ibv_qp_state state) {
    ASSERT_EQ(ModifyState(IBV_QPS_RESET), 0);
    if (state == IBV_QPS_RESET) return;
    if (state == IBV_QPS_ERR) {
      ASSERT_EQ(ModifyState(IBV_QPS_ERR), 0);
      return;
    }
    ASSERT_EQ(Modify(a_.Init(), TestEnd::kInitMask), 0);
    if (state == IBV_QPS_INIT) return;
    ASSERT_EQ(Modify(a_.Rtr(b_), TestEnd::kRtrMask), 0);
    if (state == IBV_QPS_RTR) return;
    ASSERT_EQ(Modify(a_.Rts(), TestEnd::kRtsMask), 0);
    if (state == IBV_QPS_RTS) return;
    ASSERT_EQ(state, IBV_QPS_SQD);
    ASSERT_EQ(ModifyState(IBV_QPS_SQD), 0);
  }
  // Each attribute of a transition is needed, and no other is taken; a refused
  // one changes nothing.
  void CheckMask(ibv_qp_state from, const ibv_qp_attr& attr, int mask) {
    Enter(from);
    for (int bit = IBV_QP_CUR_STATE << 1; bit <= IBV_QP_DEST_QPN; bit <<= 1) {
      if ((mask & bit) != 0) {
        EXPECT_EQ(Modify(attr, mask & ~bit), EINVAL) << "without " << bit;
      }
    }
    for (const int bit : {IBV_QP_QKEY, IBV_QP_ALT_PATH, IBV_QP_CAP,
                          IBV_QP_EN_SQD_ASYNC_NOTIFY, IBV_QP_RATE_LIMIT}) {
      EXPECT_EQ(Modify(attr, mask | bit), EINVAL) << "with " << bit;
    }
    EXPECT_EQ(a_.State(), from);
    EXPECT_EQ(Modify(attr, mask), 0);
    EXPECT_EQ(a_.State(), attr.qp_state);
    EXPECT_EQ(a_.qp->state, attr.qp_state);
  }
  // RTR, or RTS, with one thing wrong.
  template <typename Change>
  int RtrWith(Change change) {
    Enter(IBV_QPS_INIT);
    ibv_qp_attr attr = a_.Rtr(b_);
    change(attr);
    return Modify(attr, TestEnd::kRtrMask);
  }
  template <typename Change>
  int RtsWith(Change change) {
    Enter(IBV_QPS_RTR);
    ibv_qp_attr attr = a_.Rts();
    change(attr);
    return Modify(attr, TestEnd::kRtsMask);
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedQpState, InitNeedsItsAttributes) {
  CheckMask(IBV_QPS_RESET, a_.Init(), TestEnd::kInitMask);
}

TEST_F(EmulatedQpState, ReadyToReceiveNeedsItsAttributes) {
  CheckMask(IBV_QPS_INIT, a_.Rtr(b_), TestEnd::kRtrMask);
}

TEST_F(EmulatedQpState, ReadyToSendNeedsItsAttributes) {
  CheckMask(IBV_QPS_RTR, a_.Rts(), TestEnd::kRtsMask);
}

TEST_F(EmulatedQpState, IllegalTransitions) {
  const std::pair<ibv_qp_state, ibv_qp_state> kIllegal[] = {
      {IBV_QPS_RESET, IBV_QPS_RTR}, {IBV_QPS_RESET, IBV_QPS_RTS},
      {IBV_QPS_INIT, IBV_QPS_RTS},  {IBV_QPS_RTR, IBV_QPS_INIT},
      {IBV_QPS_RTR, IBV_QPS_SQD},   {IBV_QPS_RTS, IBV_QPS_INIT},
      {IBV_QPS_RTS, IBV_QPS_RTR},   {IBV_QPS_RTS, IBV_QPS_SQE},
      {IBV_QPS_ERR, IBV_QPS_INIT},  {IBV_QPS_ERR, IBV_QPS_RTR},
      {IBV_QPS_ERR, IBV_QPS_RTS},   {IBV_QPS_ERR, IBV_QPS_SQD},
      {IBV_QPS_SQD, IBV_QPS_RTR},   {IBV_QPS_SQD, IBV_QPS_INIT},
  };
  for (const auto& [from, to] : kIllegal) {
    SCOPED_TRACE(testing::Message() << from << " to " << to);
    Enter(from);
    ibv_qp_attr attr = to == IBV_QPS_INIT  ? a_.Init()
                       : to == IBV_QPS_RTR ? a_.Rtr(b_)
                                           : a_.Rts();
    attr.qp_state = to;
    const int mask = to == IBV_QPS_INIT  ? TestEnd::kInitMask
                     : to == IBV_QPS_RTR ? TestEnd::kRtrMask
                                         : TestEnd::kRtsMask;
    EXPECT_EQ(Modify(attr, mask), EINVAL);
    EXPECT_EQ(Modify(attr, IBV_QP_STATE), EINVAL);
    EXPECT_EQ(a_.State(), from);
  }
}

TEST_F(EmulatedQpState, ResetAndErrorAreReachedFromEverywhere) {
  for (const ibv_qp_state state : {IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR,
                                   IBV_QPS_RTS, IBV_QPS_SQD, IBV_QPS_ERR}) {
    Enter(state);
    EXPECT_EQ(ModifyState(IBV_QPS_ERR), 0);
    EXPECT_EQ(a_.State(), IBV_QPS_ERR);
    Enter(state);
    EXPECT_EQ(ModifyState(IBV_QPS_RESET), 0);
    EXPECT_EQ(a_.State(), IBV_QPS_RESET);
    EXPECT_EQ(Modify(a_.Init(), IBV_QP_ACCESS_FLAGS), EINVAL);
  }
}

TEST_F(EmulatedQpState, CurrentStateMustBeTheCurrentOne) {
  Enter(IBV_QPS_RTR);
  ibv_qp_attr attr = a_.Rts();
  attr.cur_qp_state = IBV_QPS_INIT;
  EXPECT_EQ(Modify(attr, TestEnd::kRtsMask | IBV_QP_CUR_STATE), EINVAL);
  attr.cur_qp_state = IBV_QPS_RTR;
  EXPECT_EQ(Modify(attr, TestEnd::kRtsMask | IBV_QP_CUR_STATE), 0);
}

TEST_F(EmulatedQpState, AttributesMustMakeSense) {
  using Attr = ibv_qp_attr;
  EXPECT_EQ(RtrWith([](Attr&) {}), 0);
  EXPECT_EQ(RtrWith([](Attr& a) { a.path_mtu = ibv_mtu(0); }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.dest_qp_num = 1 << 24; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.rq_psn = 1 << 24; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.max_dest_rd_atomic = 17; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.min_rnr_timer = 32; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.ah_attr.port_num = 2; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.ah_attr.is_global = 0; }), EINVAL);
  EXPECT_EQ(RtrWith([](Attr& a) { a.ah_attr.grh.sgid_index = 4; }), EINVAL);
  EXPECT_EQ(RtsWith([](Attr&) {}), 0);
  EXPECT_EQ(RtsWith([](Attr& a) { a.timeout = 32; }), EINVAL);
  EXPECT_EQ(RtsWith([](Attr& a) { a.retry_cnt = 8; }), EINVAL);
  EXPECT_EQ(RtsWith([](Attr& a) { a.rnr_retry = 8; }), EINVAL);
  EXPECT_EQ(RtsWith([](Attr& a) { a.sq_psn = 1 << 24; }), EINVAL);
  EXPECT_EQ(RtsWith([](Attr& a) { a.max_rd_atomic = 17; }), EINVAL);

  Enter(IBV_QPS_RESET);
  Attr attr = a_.Init();
  attr.port_num = 2;
  EXPECT_EQ(Modify(attr, TestEnd::kInitMask), EINVAL);
  attr = a_.Init();
  attr.pkey_index = 1;
  EXPECT_EQ(Modify(attr, TestEnd::kInitMask), EINVAL);
}

TEST(EmulatedQpMtu, PathMtuIsAtMostThePorts) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_0", {10, 0, 0, 1});
  spec.ports[0].active_mtu = IBV_MTU_1024;
  TestNet net({.mode = WireMode::kStepped}, spec,
              RoceDevice("mlx5_0", {10, 0, 0, 2}));
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ibv_qp_attr attr = a.Init();
  ASSERT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kInitMask), 0);
  attr = a.Rtr(b);
  attr.path_mtu = IBV_MTU_2048;
  EXPECT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kRtrMask), EINVAL);
  attr.path_mtu = IBV_MTU_1024;
  EXPECT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kRtrMask), 0);
}

TEST(EmulatedQpMtu, PacketsLongerThanTheResponderExpects) {
  TestNet net;
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ASSERT_EQ(a.Connect(b), 0);
  b.port.active_mtu = IBV_MTU_512;
  ASSERT_EQ(b.Connect(a), 0);
  ASSERT_EQ(a.PostWrite(1, b, 0, 512), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_SUCCESS);
  ASSERT_EQ(a.PostWrite(2, b, 0, 513), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_REM_INV_REQ_ERR);
}

TEST(EmulatedQpRoute, InfiniBandNeedsALid) {
  TestNet net({.mode = WireMode::kStepped}, InfiniBandDevice("mlx5_0", 17),
              InfiniBandDevice("mlx5_0", 18));
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ibv_qp_attr attr = a.Init();
  ASSERT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kInitMask), 0);
  for (const int lid : {0, 0xc000}) {
    attr = a.Rtr(b);
    attr.ah_attr.dlid = static_cast<uint16_t>(lid);
    EXPECT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kRtrMask), EINVAL);
  }
  attr = a.Rtr(b);
  EXPECT_EQ(a.verbs->ModifyQp(a.qp, &attr, TestEnd::kRtrMask), 0);
}

TEST_F(EmulatedQpState, QueryTellsWhatWasSet) {
  Enter(IBV_QPS_RTS);
  ibv_qp_attr attr;
  ibv_qp_init_attr init;
  ASSERT_EQ(a_.verbs->QueryQp(a_.qp, &attr, IBV_QP_STATE, &init), 0);
  EXPECT_EQ(attr.qp_state, IBV_QPS_RTS);
  EXPECT_EQ(attr.dest_qp_num, b_.qp->qp_num);
  EXPECT_EQ(attr.rq_psn, b_.psn);
  EXPECT_EQ(attr.sq_psn, a_.psn);
  EXPECT_EQ(attr.timeout, 14);
  EXPECT_EQ(attr.path_mtu, IBV_MTU_4096);
  EXPECT_EQ(init.send_cq, a_.cq);
  EXPECT_EQ(init.cap.max_send_wr, 16u);
}

TEST_F(EmulatedQpState, WhoMayPostWhat) {
  for (const ibv_qp_state state : {IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR}) {
    Enter(state);
    EXPECT_EQ(a_.PostWrite(1, b_), EINVAL) << state;
    EXPECT_EQ(a_.PostRecv(2), state == IBV_QPS_RESET ? EINVAL : 0) << state;
  }
  Enter(IBV_QPS_ERR);
  EXPECT_EQ(a_.PostWrite(3, b_), 0);
  EXPECT_EQ(a_.Poll().size(), 1u);
}

TEST_F(EmulatedQpState, ADrainedSendQueueWaitsAndStillReceives) {
  Enter(IBV_QPS_RTS);
  ASSERT_EQ(b_.Connect(a_), 0);
  ASSERT_EQ(a_.PostWrite(0, b_), 0);
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_SQD;
  attr.en_sqd_async_notify = 1;
  ASSERT_EQ(Modify(attr, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY), 0);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_SQ_DRAINED);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(b_.PostWrite(2, a_), 0);
  EXPECT_EQ(net_.Await(b_).status, IBV_WC_SUCCESS);
  net_.Advance(std::chrono::hours(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  ASSERT_EQ(ModifyState(IBV_QPS_RTS), 0);
  EXPECT_EQ(net_.Await(a_).wr_id, 0u);
  EXPECT_EQ(net_.Await(a_).wr_id, 1u);
}

TEST_F(EmulatedQpState, CreationChecksItsArguments) {
  ibv_qp_init_attr good = {};
  good.send_cq = a_.cq;
  good.recv_cq = a_.cq;
  good.qp_type = IBV_QPT_RC;
  good.cap = {16, 16, 4, 4, 64};
  const auto error_of = [&](auto change) {
    ibv_qp_init_attr init = good;
    change(init);
    errno = 0;
    ibv_qp* const qp = a_.verbs->CreateQp(a_.pd, &init);
    if (qp == nullptr) return errno;
    EXPECT_EQ(a_.verbs->DestroyQp(qp), 0);
    return 0;
  };
  using Init = ibv_qp_init_attr;
  EXPECT_EQ(error_of([](Init&) {}), 0);
  EXPECT_EQ(error_of([](Init& i) { i.qp_type = IBV_QPT_UD; }), EOPNOTSUPP);
  EXPECT_EQ(error_of([](Init& i) { i.send_cq = nullptr; }), EINVAL);
  EXPECT_EQ(error_of([&](Init& i) { i.recv_cq = b_.cq; }), EINVAL);
  EXPECT_EQ(error_of([](Init& i) { i.cap.max_send_wr = 8193; }), EINVAL);
  EXPECT_EQ(error_of([](Init& i) { i.cap.max_recv_wr = 8193; }), EINVAL);
  EXPECT_EQ(error_of([](Init& i) { i.cap.max_send_sge = 31; }), EINVAL);
  EXPECT_EQ(error_of([](Init& i) { i.cap.max_recv_sge = 31; }), EINVAL);
  EXPECT_EQ(error_of([](Init& i) { i.cap.max_inline_data = 257; }), EINVAL);
}

TEST(EmulatedQpLimits, NumbersOfObjects) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_0", {10, 0, 0, 1});
  spec.max_qp = 1;
  spec.max_cq = 1;
  spec.max_cqe = 64;
  TestNet net({.mode = WireMode::kStepped}, spec, spec);
  TestEnd a(net.fabric.VerbsOf("a"));
  EXPECT_EQ(a.MakeQp({}), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(a.verbs->CreateCq(a.context, 1, nullptr, nullptr, 0), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  for (const int cqe : {0, -1, 65}) {
    EXPECT_EQ(a.verbs->CreateCq(a.context, cqe, nullptr, nullptr, 0), nullptr);
    EXPECT_EQ(errno, EINVAL);
  }
}

// Requests of a connection that is not one get lost.
class EmulatedConnection : public EmulatedQpState {
 protected:
  void ExpectLost() {
    const MonotonicTime start = net_.clock.Now();
    ASSERT_EQ(a_.PostWrite(1, b_), 0);
    EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
    // The first attempt and retry_cnt more, each with 4.096 us * 2^timeout.
    EXPECT_EQ(net_.clock.Now() - start,
              std::chrono::nanoseconds(4096LL << 14) * 4);
    EXPECT_EQ(NextEvent(b_), -1);
  }
};

TEST_F(EmulatedConnection, PeerIsNotReady) {
  ASSERT_EQ(a_.Connect(b_), 0);
  ibv_qp_attr attr = b_.Init();
  ASSERT_EQ(b_.verbs->ModifyQp(b_.qp, &attr, TestEnd::kInitMask), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, PeerReadyToReceiveIsEnough) {
  ASSERT_EQ(a_.Connect(b_), 0);
  ibv_qp_attr attr = b_.Init();
  ASSERT_EQ(b_.verbs->ModifyQp(b_.qp, &attr, TestEnd::kInitMask), 0);
  attr = b_.Rtr(a_);
  ASSERT_EQ(b_.verbs->ModifyQp(b_.qp, &attr, TestEnd::kRtrMask), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
}

TEST_F(EmulatedConnection, WrongPsn) {
  ASSERT_EQ(a_.Connect(b_), 0);
  a_.psn += 1;
  ASSERT_EQ(b_.Connect(a_), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, PeerMeansAnotherQueuePair) {
  TestEnd other(net_.fabric.VerbsOf("a"));
  other.psn = a_.psn;
  ASSERT_EQ(a_.Connect(b_), 0);
  ASSERT_EQ(b_.Connect(other), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, PeerMeansAnotherAddress) {
  ASSERT_EQ(a_.Connect(b_), 0);
  a_.gid = GidOfIpv4({10, 0, 0, 9});
  ASSERT_EQ(b_.Connect(a_), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, NobodyHasTheAddress) {
  ASSERT_EQ(b_.Connect(a_), 0);
  b_.gid = GidOfIpv4({10, 0, 0, 9});
  ASSERT_EQ(a_.Connect(b_), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, RoceVersionsDiffer) {
  ASSERT_EQ(b_.Connect(a_), 0);
  a_.gid_index = 2;
  ASSERT_EQ(a_.Connect(b_), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, PeerIsDestroyed) {
  ASSERT_EQ(a_.Connect(b_), 0);
  ASSERT_EQ(b_.Connect(a_), 0);
  ASSERT_EQ(a_.PostWrite(7, b_), 0);
  ASSERT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  ASSERT_EQ(b_.verbs->DestroyQp(std::exchange(b_.qp, nullptr)), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, PeerFailed) {
  ASSERT_EQ(a_.Connect(b_), 0);
  ASSERT_EQ(b_.Connect(a_), 0);
  ASSERT_EQ(b_.ToError(), 0);
  ExpectLost();
}

TEST_F(EmulatedConnection, DestroyedInMidFlight) {
  ASSERT_EQ(a_.Connect(b_), 0);
  ASSERT_EQ(b_.Connect(a_), 0);
  b_.Fill(9);
  const std::vector<std::byte> before = b_.memory;
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
  net_.Advance(std::chrono::hours(1));
  EXPECT_EQ(b_.memory, before);
  EXPECT_THAT(a_.Poll(), IsEmpty());
}

}  // namespace
}  // namespace te::rdma::emulated
