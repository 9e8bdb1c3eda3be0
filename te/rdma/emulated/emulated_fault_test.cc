// Faults that a test asks for.

#include "te/rdma/emulated/emulated_fault.h"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/test_end.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma::emulated {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

class EmulatedFault : public testing::Test {
 protected:
  void SetUp() override {
    a_.Fill(1);
    b_.Fill(101);
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }
  // The request with this wr_id has the fault.
  void Inject(uint64_t wr_id, Fault fault) {
    net_.fabric.SetFaultScript([=](const WorkRequestInfo& info) {
      return info.wr_id == wr_id ? fault : Fault{};
    });
  }
  static std::vector<std::pair<uint64_t, ibv_wc_status>> Outcomes(
      const std::vector<ibv_wc>& completions) {
    std::vector<std::pair<uint64_t, ibv_wc_status>> outcomes;
    for (const ibv_wc& wc : completions) {
      outcomes.emplace_back(wc.wr_id, wc.status);
    }
    return outcomes;
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a"), {.max_send_wr = 4}};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedFault, ScriptsSeeTheRequest) {
  std::vector<std::string> seen;
  net_.fabric.SetFaultScript([&](const WorkRequestInfo& info) {
    EXPECT_EQ(info.qp_num, a_.qp->qp_num);
    EXPECT_EQ(info.dest_qp_num, b_.qp->qp_num);
    EXPECT_EQ(info.rkey, b_.mr->rkey);
    EXPECT_EQ(info.remote_addr,
              reinterpret_cast<uint64_t>(b_.memory.data()) + 16);
    seen.push_back(
        std::string(info.host) + "/" + std::string(info.device) + " " +
        std::to_string(info.index) + " " + std::to_string(info.wr_id) + " " +
        std::to_string(info.opcode) + " " + std::to_string(info.length));
    return Fault{};
  });
  ASSERT_EQ(a_.PostWrite(70, b_, 16, 24), 0);
  ASSERT_EQ(a_.PostRead(71, b_, 16, 32), 0);
  net_.Await(a_, 2);
  EXPECT_THAT(seen, ElementsAre("a/mlx5_0 0 70 0 24", "a/mlx5_0 1 71 4 32"));
  net_.fabric.SetFaultScript({});
}

TEST_F(EmulatedFault, AnyStatusWithAVendorError) {
  const std::vector<std::byte> before = b_.memory;
  Inject(2, {.status = IBV_WC_REM_OP_ERR, .vendor_err = 0x88});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostWrite(2, b_, 64, 8, 0), 0);
  ASSERT_EQ(a_.PostWrite(3, b_, 64, 8), 0);
  const std::vector<ibv_wc> completions = net_.Await(a_, 3);
  EXPECT_THAT(Outcomes(completions),
              ElementsAre(std::pair(uint64_t{1}, IBV_WC_SUCCESS),
                          std::pair(uint64_t{2}, IBV_WC_REM_OP_ERR),
                          std::pair(uint64_t{3}, IBV_WC_WR_FLUSH_ERR)));
  EXPECT_EQ(completions[1].vendor_err, 0x88u);
  EXPECT_EQ(a_.State(), IBV_QPS_ERR);
  EXPECT_EQ(b_.memory[64], before[64]);
}

TEST_F(EmulatedFault, FailedButCarriedOut) {
  Inject(1, {.status = IBV_WC_RETRY_EXC_ERR, .carried_out = true});
  ASSERT_NE(a_.memory[64], b_.memory[64]);
  ASSERT_EQ(a_.PostWrite(1, b_, 64, 8), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
  EXPECT_EQ(a_.memory[64], b_.memory[64]);
}

TEST_F(EmulatedFault, DelayHoldsUpItsQueue) {
  Inject(1, {.delay = milliseconds(5)});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  ASSERT_EQ(b_.PostWrite(3, a_), 0);
  net_.Advance(milliseconds(4));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(b_.Poll().size(), 1u) << "other queues go on";
  net_.Advance(milliseconds(1));
  EXPECT_EQ(a_.Poll().size(), 2u);
}

TEST_F(EmulatedFault, DelayThenFailure) {
  Inject(1, {.delay = milliseconds(5), .status = IBV_WC_FATAL_ERR});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(milliseconds(4));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  net_.Advance(milliseconds(1));
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_FATAL_ERR);
}

TEST_F(EmulatedFault, DelayedRequestsAreFlushedUndone) {
  const std::vector<std::byte> before = b_.memory;
  Inject(1, {.delay = milliseconds(5)});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(milliseconds(4));
  ASSERT_EQ(a_.ToError(), 0);
  EXPECT_EQ(a_.Poll().size(), 1u);
  net_.Advance(milliseconds(4));
  EXPECT_EQ(b_.memory, before);
}

TEST_F(EmulatedFault, HangUntilError) {
  Inject(2, {.hang = Hang::kUntilError, .carried_out = true});
  ASSERT_EQ(a_.PostRecv(9), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostWrite(2, b_, 64, 8), 0);
  ASSERT_EQ(a_.PostWrite(3, b_), 0);
  net_.Advance(std::chrono::hours(24));
  EXPECT_EQ(a_.Poll().size(), 1u);
  EXPECT_EQ(a_.memory[64], b_.memory[64]) << "it was carried out";
  EXPECT_EQ(a_.State(), IBV_QPS_RTS);
  ASSERT_EQ(a_.ToError(), 0);
  EXPECT_THAT(Outcomes(a_.Poll()),
              ElementsAre(std::pair(uint64_t{2}, IBV_WC_WR_FLUSH_ERR),
                          std::pair(uint64_t{3}, IBV_WC_WR_FLUSH_ERR),
                          std::pair(uint64_t{9}, IBV_WC_WR_FLUSH_ERR)));
}

TEST_F(EmulatedFault, HangForGood) {
  const std::vector<std::byte> before = b_.memory;
  Inject(2, {.hang = Hang::kForGood});
  ASSERT_EQ(a_.PostRecv(9), 0);
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 8), 0);
  ASSERT_EQ(a_.PostWrite(2, b_, 64, 8), 0);
  ASSERT_EQ(a_.PostWrite(3, b_, 64, 8), 0);
  net_.Advance(std::chrono::hours(24));
  EXPECT_EQ(a_.Poll().size(), 1u);
  ASSERT_EQ(a_.ToError(), 0);
  // Receives are flushed, sends never end, and keep their slots.
  EXPECT_THAT(Outcomes(a_.Poll()),
              ElementsAre(std::pair(uint64_t{9}, IBV_WC_WR_FLUSH_ERR)));
  ASSERT_EQ(a_.PostWrite(4, b_), 0);
  ASSERT_EQ(a_.PostWrite(5, b_), 0);
  EXPECT_EQ(a_.PostWrite(6, b_), ENOMEM);
  net_.Advance(std::chrono::hours(24));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(b_.memory[64], before[64]);

  // A reset makes it whole again.
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RESET;
  ASSERT_EQ(a_.verbs->ModifyQp(a_.qp, &attr, IBV_QP_STATE), 0);
  ASSERT_EQ(a_.Connect(b_), 0);
  net_.fabric.SetFaultScript({});
  ASSERT_EQ(a_.PostWrite(7, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
}

TEST_F(EmulatedFault, DestroyEndsAHangForGood) {
  Inject(1, {.hang = Hang::kForGood});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(milliseconds(1));
  EXPECT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(net_.device_a.live_objects().qps, 0);
}

TEST_F(EmulatedFault, LostPacketsAreRetried) {
  net_.device_b.SetLossProbability(1);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  net_.device_b.SetLossProbability(0);
  net_.Advance(std::chrono::nanoseconds(4096LL << 14));
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);

  net_.device_a.SetLossProbability(1);
  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
}

// Makes and takes down all that TestEnd has; returns whether all went well.
bool SetUpAll(Verbs& verbs, void* memory) {
  ibv_device** const list = verbs.GetDeviceList(nullptr);
  if (list == nullptr) return false;
  ibv_context* const context = verbs.OpenDevice(list[0]);
  verbs.FreeDeviceList(list);
  if (context == nullptr) return false;
  bool good = true;
  ibv_device_attr device;
  ibv_port_attr port;
  ibv_gid_entry gids[8];
  good = verbs.QueryDevice(context, &device) == 0 && good;
  good = verbs.QueryPort(context, 1, &port) == 0 && good;
  good = verbs.QueryGidTable(context, gids, 8) > 0 && good;
  ibv_comp_channel* const channel = verbs.CreateCompChannel(context);
  ibv_cq* const cq = verbs.CreateCq(context, 8, nullptr, nullptr, 0);
  ibv_pd* const pd = verbs.AllocPd(context);
  good = good && channel != nullptr && cq != nullptr && pd != nullptr;
  if (pd != nullptr && cq != nullptr) {
    ibv_mr* const mr = verbs.RegMr(pd, memory, 64, 0);
    ibv_qp_init_attr init = {};
    init.send_cq = cq;
    init.recv_cq = cq;
    init.qp_type = IBV_QPT_RC;
    ibv_qp* const qp = verbs.CreateQp(pd, &init);
    good = good && mr != nullptr && qp != nullptr;
    ibv_qp_attr attr = {};
    attr.qp_state = IBV_QPS_ERR;
    if (qp != nullptr) {
      good = verbs.ModifyQp(qp, &attr, IBV_QP_STATE) == 0 && good;
      good = verbs.QueryQp(qp, &attr, IBV_QP_STATE, &init) == 0 && good;
      EXPECT_EQ(verbs.DestroyQp(qp), 0);
    }
    if (mr != nullptr) {
      EXPECT_EQ(verbs.DeregMr(mr), 0);
    }
  }
  if (pd != nullptr) {
    EXPECT_EQ(verbs.DeallocPd(pd), 0);
  }
  if (cq != nullptr) {
    EXPECT_EQ(verbs.DestroyCq(cq), 0);
  }
  if (channel != nullptr) {
    EXPECT_EQ(verbs.DestroyCompChannel(channel), 0);
  }
  EXPECT_EQ(verbs.CloseDevice(context), 0);
  return good;
}

TEST(EmulatedControlFault, EachVerbCanFail) {
  TestNet net;
  const std::shared_ptr<Verbs> verbs = net.fabric.VerbsOf("a");
  char memory[64];
  const uint64_t before = net.fabric.control_verbs("a");
  ASSERT_TRUE(SetUpAll(*verbs, memory));
  const int count = static_cast<int>(net.fabric.control_verbs("a") - before);
  EXPECT_EQ(count, 12);
  EXPECT_EQ(net.fabric.control_verbs("b"), 0u);
  for (int n = 1; n <= count; ++n) {
    net.fabric.FailControlVerb("a", n, EBADSLT);
    EXPECT_FALSE(SetUpAll(*verbs, memory)) << n;
    EXPECT_EQ(net.device_a.live_objects(), LiveObjects{});
    net.fabric.FailControlVerb("a", 0, 0);
    EXPECT_TRUE(SetUpAll(*verbs, memory)) << "only once";
  }
}

TEST(EmulatedControlFault, FailsWithTheErrnoAskedFor) {
  TestNet net;
  TestEnd a(net.fabric.VerbsOf("a"));
  net.fabric.FailControlVerb("a", 2, EBADSLT);
  ibv_device_attr device;
  EXPECT_EQ(a.verbs->QueryDevice(a.context, &device), 0);
  EXPECT_EQ(a.verbs->QueryDevice(a.context, &device), EBADSLT);
  EXPECT_EQ(a.verbs->QueryDevice(a.context, &device), 0);
  net.fabric.FailControlVerb("a", 1, EBADSLT);
  errno = 0;
  EXPECT_EQ(a.verbs->AllocPd(a.context), nullptr);
  EXPECT_EQ(errno, EBADSLT);
  net.fabric.FailControlVerb("a", 1, EBADSLT);
  ibv_gid_entry gids[8];
  EXPECT_EQ(a.verbs->QueryGidTable(a.context, gids, 8), -EBADSLT);
}

}  // namespace
}  // namespace te::rdma::emulated
