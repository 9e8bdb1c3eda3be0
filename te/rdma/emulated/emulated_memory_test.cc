// Which memory a work request may touch.

#include <infiniband/verbs.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

class EmulatedMemory : public testing::Test {
 protected:
  void SetUp() override {
    a_.Fill(1);
    b_.Fill(101);
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
    before_a_ = a_.memory;
    before_b_ = b_.memory;
  }

  // Ends a request of `a_` as `status`, with nothing written anywhere.
  void ExpectRefused(const ibv_send_wr& wr, ibv_wc_status status) {
    ASSERT_EQ(a_.Post(wr), 0);
    const ibv_wc wc = net_.Await(a_);
    EXPECT_EQ(wc.status, status);
    EXPECT_EQ(wc.wr_id, wr.wr_id);
    EXPECT_EQ(a_.memory, before_a_);
    EXPECT_EQ(b_.memory, before_b_);
    EXPECT_EQ(a_.State(), IBV_QPS_ERR);
  }
  // The same for a fault that the responder finds.
  void ExpectRefusedByPeer(const ibv_send_wr& wr, ibv_wc_status status,
                           ibv_event_type event) {
    ASSERT_EQ(b_.PostRecv(77), 0);
    ExpectRefused(wr, status);
    EXPECT_EQ(b_.State(), IBV_QPS_ERR);
    EXPECT_EQ(NextEvent(b_), event);
    const std::vector<ibv_wc> flushed = b_.Poll();
    ASSERT_EQ(flushed.size(), 1u);
    EXPECT_EQ(flushed[0].status, IBV_WC_WR_FLUSH_ERR);
    EXPECT_EQ(NextEvent(a_), -1);
  }
  // And for one that it never hears of.
  void ExpectRefusedLocally(const ibv_send_wr& wr, ibv_wc_status status) {
    ExpectRefused(wr, status);
    EXPECT_EQ(b_.State(), IBV_QPS_RTS);
    EXPECT_EQ(NextEvent(b_), -1);
  }
  ibv_mr* Register(TestEnd& end, unsigned int access) {
    return end.verbs->RegMr(end.pd, end.memory.data(), end.memory.size(),
                            access);
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
  std::vector<std::byte> before_a_;
  std::vector<std::byte> before_b_;
  ibv_sge sge_ = a_.Sge(0, 8);
};

TEST_F(EmulatedMemory, RegistrationChecksItsArguments) {
  const auto fails_with = [&](size_t length, unsigned int access, int error) {
    errno = 0;
    return a_.verbs->RegMr(a_.pd, a_.memory.data(), length, access) ==
               nullptr &&
           errno == error;
  };
  EXPECT_TRUE(fails_with(16, IBV_ACCESS_REMOTE_WRITE, EINVAL));
  EXPECT_TRUE(fails_with(16, IBV_ACCESS_REMOTE_ATOMIC, EINVAL));
  EXPECT_TRUE(fails_with(16, IBV_ACCESS_ZERO_BASED, EINVAL));
  EXPECT_TRUE(fails_with(0, IBV_ACCESS_LOCAL_WRITE, EINVAL));
  EXPECT_TRUE(fails_with((uint64_t{1} << 40) + 1, 0, EINVAL));
  errno = 0;
  EXPECT_EQ(a_.verbs->RegDmabufMr(a_.pd, 0, 4096, 0, 0, 0), nullptr);
  EXPECT_EQ(errno, EOPNOTSUPP);

  ibv_mr* const relaxed =
      Register(a_, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_RELAXED_ORDERING);
  ASSERT_NE(relaxed, nullptr);
  EXPECT_EQ(relaxed->addr, a_.memory.data());
  EXPECT_EQ(relaxed->length, a_.memory.size());
  EXPECT_EQ(a_.verbs->DeregMr(relaxed), 0);
}

TEST_F(EmulatedMemory, KeysAreNotUsedTwice) {
  std::set<uint32_t> keys = {a_.mr->lkey, a_.mr->rkey, b_.mr->lkey,
                             b_.mr->rkey};
  ASSERT_EQ(keys.size(), 4u);
  for (int i = 0; i < 1000; ++i) {
    ibv_mr* const mr = Register(a_, 0);
    ASSERT_NE(mr, nullptr);
    EXPECT_TRUE(keys.insert(mr->lkey).second);
    EXPECT_TRUE(keys.insert(mr->rkey).second);
    ASSERT_EQ(a_.verbs->DeregMr(mr), 0);
  }
}

TEST_F(EmulatedMemory, UnknownLocalKey) {
  sge_.lkey ^= 0x400;
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, RemoteKeyIsNoLocalKey) {
  sge_.lkey = a_.mr->rkey;
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, LocalMemoryOutsideOfItsRegion) {
  sge_ = a_.Sge(a_.memory.size() - 7, 8);
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, LocalMemoryBeforeItsRegion) {
  sge_.addr -= 1;
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, OnlyTheLastElementIsBad) {
  ibv_sge sges[2] = {a_.Sge(0, 8), a_.Sge(8, 8)};
  sges[1].lkey = 0;
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_READ, 1, b_, sges, 0);
  wr.num_sge = 2;
  ExpectRefusedLocally(wr, IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, DeregisteredLocalMemory) {
  ASSERT_EQ(a_.verbs->DeregMr(std::exchange(a_.mr, nullptr)), 0);
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
}

TEST_F(EmulatedMemory, DeregisteredWhileItsRequestWaits) {
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.verbs->DeregMr(std::exchange(a_.mr, nullptr)), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(b_.memory, before_b_);
}

TEST_F(EmulatedMemory, LocalMemoryOfAnotherProtectionDomain) {
  ibv_pd* const pd = a_.verbs->AllocPd(a_.context);
  ibv_mr* const mr =
      a_.verbs->RegMr(pd, a_.memory.data(), 64, IBV_ACCESS_LOCAL_WRITE);
  sge_.lkey = mr->lkey;
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(a_.verbs->DeregMr(mr), 0);
  EXPECT_EQ(a_.verbs->DeallocPd(pd), 0);
}

TEST_F(EmulatedMemory, ReadNeedsLocalWrite) {
  ibv_mr* const mr = Register(a_, IBV_ACCESS_REMOTE_READ);
  sge_.lkey = mr->lkey;
  // To write from there is fine.
  ASSERT_EQ(a_.Post(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0)), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  before_b_ = b_.memory;
  ExpectRefusedLocally(a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0),
                       IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(a_.verbs->DeregMr(mr), 0);
}

TEST_F(EmulatedMemory, UnknownRemoteKey) {
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0);
  wr.wr.rdma.rkey ^= 0x400;
  ExpectRefusedByPeer(wr, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
}

TEST_F(EmulatedMemory, LocalKeyIsNoRemoteKey) {
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0);
  wr.wr.rdma.rkey = b_.mr->lkey;
  ExpectRefusedByPeer(wr, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
}

TEST_F(EmulatedMemory, RemoteMemoryOutsideOfItsRegion) {
  ExpectRefusedByPeer(
      a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, b_.memory.size() - 7),
      IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
}

TEST_F(EmulatedMemory, RemoteAddressThatWrapsAround) {
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0);
  wr.wr.rdma.remote_addr = ~uint64_t{3};
  ExpectRefusedByPeer(wr, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
}

TEST_F(EmulatedMemory, DeregisteredRemoteMemory) {
  const ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0);
  ASSERT_EQ(b_.verbs->DeregMr(std::exchange(b_.mr, nullptr)), 0);
  b_.mr = Register(b_, TestEnd::kFullAccess);
  ExpectRefused(wr, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(EmulatedMemory, RemoteMemoryOfAnotherProtectionDomain) {
  ibv_pd* const pd = b_.verbs->AllocPd(b_.context);
  ibv_mr* const mr =
      b_.verbs->RegMr(pd, b_.memory.data(), 64, TestEnd::kFullAccess);
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0);
  wr.wr.rdma.rkey = mr->rkey;
  ExpectRefusedByPeer(wr, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
  EXPECT_EQ(b_.verbs->DeregMr(mr), 0);
  EXPECT_EQ(b_.verbs->DeallocPd(pd), 0);
}

TEST_F(EmulatedMemory, RemoteWriteNeedsItsRight) {
  ibv_mr* const mr =
      Register(b_, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
  ibv_send_wr read = a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0);
  read.wr.rdma.rkey = mr->rkey;
  ASSERT_EQ(a_.Post(read), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  before_a_ = a_.memory;
  ibv_send_wr write = a_.Rdma(IBV_WR_RDMA_WRITE, 2, b_, &sge_, 0);
  write.wr.rdma.rkey = mr->rkey;
  ExpectRefusedByPeer(write, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
  EXPECT_EQ(b_.verbs->DeregMr(mr), 0);
}

TEST_F(EmulatedMemory, RemoteReadNeedsItsRight) {
  ibv_mr* const mr =
      Register(b_, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  ibv_send_wr read = a_.Rdma(IBV_WR_RDMA_READ, 1, b_, &sge_, 0);
  read.wr.rdma.rkey = mr->rkey;
  ExpectRefusedByPeer(read, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
  EXPECT_EQ(b_.verbs->DeregMr(mr), 0);
}

TEST_F(EmulatedMemory, TheQueuePairMustAllowItToo) {
  ibv_qp_attr attr = {};
  attr.qp_access_flags = IBV_ACCESS_REMOTE_READ;
  ASSERT_EQ(b_.verbs->ModifyQp(b_.qp, &attr, IBV_QP_ACCESS_FLAGS), 0);
  ExpectRefusedByPeer(a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge_, 0),
                      IBV_WC_REM_INV_REQ_ERR, IBV_EVENT_QP_REQ_ERR);
}

TEST_F(EmulatedMemory, WithoutAByteThereIsNoKeyToCheck) {
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, nullptr, 0);
  wr.num_sge = 0;
  wr.wr.rdma.rkey = 0;
  wr.wr.rdma.remote_addr = 0;
  ASSERT_EQ(a_.Post(wr), 0);
  wr.opcode = IBV_WR_RDMA_READ;
  ASSERT_EQ(a_.Post(wr), 0);
  sge_.length = 0;
  sge_.lkey = 0;
  wr.sg_list = &sge_;
  wr.num_sge = 1;
  ASSERT_EQ(a_.Post(wr), 0);
  for (const ibv_wc& wc : net_.Await(a_, 3)) {
    EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
  }
  EXPECT_EQ(b_.memory, before_b_);
}

TEST_F(EmulatedMemory, MessageLongerThanTheReceive) {
  ASSERT_EQ(b_.PostRecv(1, 0, 16), 0);
  ASSERT_EQ(b_.PostRecv(2, 0, 64), 0);
  ASSERT_EQ(a_.PostSend(3, 0, 17), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_REM_INV_REQ_ERR);
  const std::vector<ibv_wc> received = b_.Poll();
  ASSERT_EQ(received.size(), 2u);
  EXPECT_EQ(received[0].status, IBV_WC_LOC_LEN_ERR);
  EXPECT_EQ(received[1].status, IBV_WC_WR_FLUSH_ERR);
  EXPECT_EQ(b_.memory, before_b_);
}

TEST_F(EmulatedMemory, ReceiveIntoMemoryThatMayNotBeWritten) {
  ibv_mr* const mr = Register(b_, IBV_ACCESS_REMOTE_READ);
  ibv_sge sge = b_.Sge(0, 64);
  sge.lkey = mr->lkey;
  ibv_recv_wr recv = {.wr_id = 1, .sg_list = &sge, .num_sge = 1};
  ibv_recv_wr* bad = nullptr;
  ASSERT_EQ(ibv_post_recv(b_.qp, &recv, &bad), 0);
  ASSERT_EQ(a_.PostSend(2), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_REM_OP_ERR);
  const std::vector<ibv_wc> received = b_.Poll();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].status, IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(b_.memory, before_b_);
  EXPECT_EQ(b_.verbs->DeregMr(mr), 0);
}

TEST(EmulatedMemoryLimits, AreEnforced) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_0", {10, 0, 0, 1});
  spec.max_mr = 2;
  spec.max_mr_size = 4096;
  spec.max_pd = 2;
  spec.max_msg_sz = 100;
  TestNet net({.mode = WireMode::kStepped}, spec, spec);
  TestEnd a(net.fabric.VerbsOf("a"));
  EXPECT_EQ(a.verbs->RegMr(a.pd, a.memory.data(), 4097, 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
  ibv_mr* const second = a.verbs->RegMr(a.pd, a.memory.data(), 64, 0);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(a.verbs->RegMr(a.pd, a.memory.data(), 64, 0), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(a.verbs->DeregMr(second), 0);

  ibv_pd* const pd = a.verbs->AllocPd(a.context);
  ASSERT_NE(pd, nullptr);
  EXPECT_EQ(a.verbs->AllocPd(a.context), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(a.verbs->DeallocPd(pd), 0);

  ASSERT_EQ(a.Connect(a), 0);
  ASSERT_EQ(a.PostWrite(1, a, 0, 100), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_SUCCESS);
  ASSERT_EQ(a.PostWrite(2, a, 0, 101), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_LOC_LEN_ERR);
}

}  // namespace
}  // namespace te::rdma::emulated
