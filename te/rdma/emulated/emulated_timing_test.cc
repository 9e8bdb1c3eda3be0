// When things happen under a fake clock, and that they happen the same way
// again.

#include <infiniband/verbs.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

using std::chrono::microseconds;
using testing::IsEmpty;

EmulatedDeviceSpec Timed(std::array<uint8_t, 4> ipv4) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_0", ipv4);
  spec.bytes_per_second = 1'000'000'000;  // a byte per nanosecond
  spec.latency = microseconds(2);
  return spec;
}

class EmulatedTiming : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }

  TestNet net_{FabricOptions{.mode = WireMode::kStepped}, Timed({10, 0, 0, 1}),
               Timed({10, 0, 0, 2})};
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedTiming, NothingHappensBeforeItsTime) {
  b_.Fill(9);
  const std::vector<std::byte> before = b_.memory;
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 1000), 0);
  EXPECT_EQ(net_.fabric.next_due(),
            net_.clock.Now() + microseconds(1) + microseconds(2));
  EXPECT_EQ(net_.Advance(Duration(2999)), 0);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(b_.memory, before);
  EXPECT_EQ(net_.Advance(Duration(1)), 1);
  EXPECT_EQ(a_.Poll().size(), 1u);
  EXPECT_EQ(net_.fabric.next_due(), kNoDeadline);
}

TEST_F(EmulatedTiming, QueuePairsShareTheBandwidthOfTheirDevice) {
  TestEnd c(net_.fabric.VerbsOf("a"));
  ASSERT_EQ(c.Connect(c), 0);
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 1000), 0);
  ASSERT_EQ(c.PostWrite(2, c, 0, 1000), 0);
  ASSERT_EQ(a_.PostWrite(3, b_, 0, 1000), 0);
  net_.Advance(microseconds(3));
  EXPECT_EQ(a_.Poll().size(), 1u);
  EXPECT_THAT(c.Poll(), IsEmpty());
  net_.Advance(microseconds(1));
  EXPECT_EQ(c.Poll().size(), 1u);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  net_.Advance(microseconds(1));
  EXPECT_EQ(a_.Poll().size(), 1u);
}

TEST_F(EmulatedTiming, OtherDevicesHaveTheirOwn) {
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 1000), 0);
  ASSERT_EQ(b_.PostWrite(2, a_, 1000, 1000), 0);
  net_.Advance(microseconds(3));
  EXPECT_EQ(a_.Poll().size(), 1u);
  EXPECT_EQ(b_.Poll().size(), 1u);
}

TEST_F(EmulatedTiming, NoTimeoutMeansForEver) {
  a_.timeout = 0;
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RESET;
  ASSERT_EQ(a_.verbs->ModifyQp(a_.qp, &attr, IBV_QP_STATE), 0);
  ASSERT_EQ(a_.Connect(b_), 0);
  ASSERT_EQ(b_.ToError(), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(std::chrono::hours(1000));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  ASSERT_EQ(a_.ToError(), 0);
  EXPECT_EQ(a_.Poll().size(), 1u);
}

class EmulatedReceiverNotReady : public testing::Test {
 protected:
  // The code of min_rnr_timer that TestEnd uses, 12, stands for this.
  static constexpr Duration kRnrDelay = microseconds(640);

  void Connect(uint8_t rnr_retry) {
    a_.rnr_retry = rnr_retry;
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedReceiverNotReady, SevenWaitsForEver) {
  Connect(7);
  ASSERT_EQ(a_.PostSend(1), 0);
  net_.Advance(std::chrono::seconds(10));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  ASSERT_EQ(b_.PostRecv(2), 0);
  net_.Advance(kRnrDelay);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  EXPECT_EQ(net_.Await(b_).wr_id, 2u);
}

TEST_F(EmulatedReceiverNotReady, OtherwiseRetriesAreCounted) {
  Connect(2);
  const MonotonicTime start = net_.clock.Now();
  ASSERT_EQ(a_.PostSend(1), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RNR_RETRY_EXC_ERR);
  EXPECT_EQ(net_.clock.Now() - start, 2 * kRnrDelay);
  EXPECT_EQ(b_.State(), IBV_QPS_RTS);
}

TEST_F(EmulatedReceiverNotReady, AReceiveInTimeHelps) {
  Connect(2);
  ASSERT_EQ(a_.PostSend(1), 0);
  net_.Advance(kRnrDelay);
  ASSERT_EQ(b_.PostRecv(2), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
}

// All completions of a busy, lossy network, with their times.
std::string Trace(uint64_t seed, Duration step) {
  FabricOptions options;
  options.mode = WireMode::kStepped;
  options.seed = seed;
  TestNet net(options, Timed({10, 0, 0, 1}), Timed({10, 0, 0, 2}));
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  TestEnd c(net.fabric.VerbsOf("a"));
  a.retry_cnt = b.retry_cnt = c.retry_cnt = 7;
  EXPECT_EQ(a.Connect(b), 0);
  EXPECT_EQ(b.Connect(a), 0);
  EXPECT_EQ(c.Connect(c), 0);
  net.device_b.SetLossProbability(0.3);
  for (uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(a.PostWrite(i, b, 0, 100 * i), 0);
    EXPECT_EQ(b.PostRead(100 + i, a, 1000, 50 * i), 0);
    EXPECT_EQ(c.PostWrite(200 + i, c, 2000, 8), 0);
  }
  std::string trace;
  const MonotonicTime start = net.clock.Now();
  for (int i = 0; i < 3'000'000 && net.fabric.next_due() != kNoDeadline; ++i) {
    // Not further than the next thing to do, or as far as `step`.
    net.Advance(step == Duration::zero()
                    ? TimeUntil(net.fabric.next_due(), net.clock.Now())
                    : step);
    for (TestEnd* end : {&a, &b, &c}) {
      for (const ibv_wc& wc : end->Poll()) {
        absl::StrAppend(&trace, wc.wr_id, "/", wc.status);
        if (step == Duration::zero()) {
          absl::StrAppend(&trace, "@", (net.clock.Now() - start).count());
        }
        absl::StrAppend(&trace, " ");
      }
    }
  }
  EXPECT_EQ(net.fabric.next_due(), kNoDeadline);
  return trace;
}

TEST(EmulatedDeterminism, TheSameSeedGivesTheSameTrace) {
  const std::string trace = Trace(1, Duration::zero());
  EXPECT_EQ(trace, Trace(1, Duration::zero()));
  EXPECT_NE(trace, Trace(2, Duration::zero()));
}

TEST(EmulatedDeterminism, StepsOfTheClockDoNotMatterToEachQueue) {
  // In one step of an hour everything is done by the time it is due, so each
  // device's losses are the same as in small steps, and so are the outcomes.
  const std::string trace = Trace(3, std::chrono::hours(1));
  EXPECT_EQ(trace, Trace(3, std::chrono::hours(2)));
  EXPECT_THAT(trace, testing::HasSubstr("9/0 "));
}

// Immediate requests that have to wait all the same.
TEST(EmulatedImmediate, RetriesAreDoneByWhoPolls) {
  TestNet net(WireMode::kImmediate);
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ASSERT_EQ(a.Connect(b), 0);
  ASSERT_EQ(a.PostWrite(1, b), 0);
  EXPECT_THAT(a.Poll(), IsEmpty());
  net.clock.Advance(std::chrono::nanoseconds(4096LL << 14) * 4 - Duration(1));
  EXPECT_THAT(a.Poll(), IsEmpty());
  net.clock.Advance(Duration(1));
  const std::vector<ibv_wc> completions = a.Poll();
  ASSERT_EQ(completions.size(), 1u);
  EXPECT_EQ(completions[0].status, IBV_WC_RETRY_EXC_ERR);
}

TEST(EmulatedImmediate, WaitingRequestsKeepTheirOrder) {
  TestNet net(WireMode::kImmediate);
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ASSERT_EQ(a.Connect(b), 0);
  ASSERT_EQ(b.Connect(a), 0);
  ASSERT_EQ(a.PostSend(1), 0);
  ASSERT_EQ(a.PostWrite(2, b), 0);
  EXPECT_THAT(a.Poll(), IsEmpty());
  ASSERT_EQ(b.PostRecv(3), 0);
  net.clock.Advance(microseconds(640));
  const std::vector<ibv_wc> completions = a.Poll();
  ASSERT_EQ(completions.size(), 2u);
  EXPECT_EQ(completions[0].wr_id, 1u);
}

// Requests that are not carried out at all.
class EmulatedWithoutCopying : public testing::Test {
 protected:
  void SetUp() override {
    a_.Fill(1);
    b_.Fill(101);
    before_ = b_.memory;
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
    // The first is looked at, those after it are not.
    for (uint64_t i = 1; i <= 2; ++i) {
      ASSERT_EQ(a_.PostWrite(i, b_), 0);
      ASSERT_EQ(net_.Await(a_).wr_id, i);
    }
  }

  TestNet net_{FabricOptions{.mode = WireMode::kImmediate, .copy = false},
               RoceDevice("mlx5_0", {10, 0, 0, 1}),
               RoceDevice("mlx5_0", {10, 0, 0, 2})};
  TestEnd a_{net_.fabric.VerbsOf("a"), {.cqe = 4, .max_send_wr = 4}};
  TestEnd b_{net_.fabric.VerbsOf("b")};
  std::vector<std::byte> before_;
};

TEST_F(EmulatedWithoutCopying, CompletesWithoutTouchingMemory) {
  ibv_sge sge = a_.Sge(0, 100);
  sge.lkey = 0;
  ibv_send_wr read = a_.Rdma(IBV_WR_RDMA_READ, 3, b_, &sge, 0);
  read.wr.rdma.rkey = 0;
  ASSERT_EQ(a_.Post(read), 0);
  const ibv_wc wc = net_.Await(a_);
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
  EXPECT_EQ(wc.opcode, IBV_WC_RDMA_READ);
  EXPECT_EQ(wc.byte_len, 100u);
  EXPECT_EQ(b_.memory, before_);
}

TEST_F(EmulatedWithoutCopying, StillCountsSlotsAndSignals) {
  for (uint64_t i = 3; i <= 5; ++i) {
    ASSERT_EQ(a_.PostWrite(i, b_, 0, 8, 0), 0);
  }
  ASSERT_EQ(a_.PostWrite(6, b_), 0);
  EXPECT_EQ(a_.PostWrite(7, b_), ENOMEM);
  EXPECT_EQ(net_.Await(a_).wr_id, 6u);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(a_.PostWrite(7, b_), 0);
}

TEST_F(EmulatedWithoutCopying, StillNoticesWhatGoesWrong) {
  net_.device_b.SetPortActive(1, false);
  ASSERT_EQ(a_.PostWrite(3, b_), 0);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  net_.device_b.SetPortActive(1, true);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);

  net_.fabric.SetFaultScript([](const WorkRequestInfo& info) {
    return info.wr_id == 4 ? Fault{.status = IBV_WC_FATAL_ERR} : Fault{};
  });
  ASSERT_EQ(a_.PostWrite(4, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_FATAL_ERR);
  net_.fabric.SetFaultScript({});
  ASSERT_EQ(a_.PostWrite(5, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_WR_FLUSH_ERR);
}

TEST_F(EmulatedWithoutCopying, StillOverruns) {
  ibv_qp* other = a_.MakeQp({.signal_all = true});
  std::swap(a_.qp, other);
  ASSERT_EQ(a_.Connect(a_), 0);
  for (uint64_t i = 0; i < 5; ++i) ASSERT_EQ(a_.PostWrite(i, a_), 0);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_CQ_ERR);
  EXPECT_EQ(a_.Poll().size(), 4u);
  EXPECT_EQ(a_.State(), IBV_QPS_ERR);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_QP_FATAL);
  std::swap(a_.qp, other);
  ASSERT_EQ(a_.verbs->DestroyQp(other), 0);
}

}  // namespace
}  // namespace te::rdma::emulated
