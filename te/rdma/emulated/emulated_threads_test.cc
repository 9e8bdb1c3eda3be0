// What several threads may do at once, for ThreadSanitizer above all.

#include <infiniband/verbs.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/thread.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

constexpr int kRounds = 300;

Thread Start(std::function<void()> body) {
  absl::StatusOr<Thread> thread =
      Thread::Start({.name = "test"}, std::move(body));
  EXPECT_TRUE(thread.ok());
  return *std::move(thread);
}

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

class EmulatedThreads : public testing::TestWithParam<WireMode> {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }

  // In kImmediate the clock does not move; nothing waits here.
  TestNet net_{GetParam()};
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

INSTANTIATE_TEST_SUITE_P(All, EmulatedThreads,
                         testing::Values(WireMode::kThreaded,
                                         WireMode::kImmediate));

// The bytes of a READ were written before it completed, and may be overwritten
// after it.
TEST_P(EmulatedThreads, ACompletionOrdersMemory) {
  const auto run = [this](TestEnd& self, TestEnd& peer, size_t offset) {
    for (int i = 0; i < kRounds; ++i) {
      memset(&self.memory[offset], i, 256);
      ASSERT_EQ(self.PostWrite(1, peer, offset, 256, 0), 0);
      ASSERT_EQ(self.PostRead(2, peer, offset, 256), 0);
      ASSERT_EQ(net_.Await(self).status, IBV_WC_SUCCESS);
      ASSERT_EQ(self.memory[offset + 255], static_cast<std::byte>(i));
    }
  };
  Thread other = Start([&] { run(b_, a_, 1024); });
  run(a_, b_, 0);
  other.Join();
}

TEST_P(EmulatedThreads, PostersAndPollersOfOneQueuePair) {
  std::atomic<int> completed{0};
  const auto post = [&](size_t offset) {
    for (int i = 0; i < kRounds; ++i) {
      const MonotonicTime deadline = Soon();
      while (a_.PostWrite(1, b_, offset, 64) == ENOMEM) {
        ASSERT_LT(RealClock().Now(), deadline);
      }
    }
  };
  Thread poster1 = Start([&] { post(0); });
  Thread poster2 = Start([&] { post(64); });
  const auto poll = [&] {
    const MonotonicTime deadline = Soon();
    while (completed < 2 * kRounds) {
      ASSERT_LT(RealClock().Now(), deadline);
      ibv_wc wc = {};
      completed += ibv_poll_cq(a_.cq, 1, &wc);
      ASSERT_EQ(wc.status, IBV_WC_SUCCESS);
    }
  };
  Thread poller = Start(poll);
  poll();
  EXPECT_EQ(completed, 2 * kRounds);
}

// Right after DeregMr nobody touches the memory any more.
TEST_P(EmulatedThreads, DeregisterWaitsForAccesses) {
  ibv_mr* const mr =
      b_.verbs->RegMr(b_.pd, b_.memory.data(), 512, TestEnd::kFullAccess);
  ASSERT_NE(mr, nullptr);
  ibv_sge sge = a_.Sge(0, 512);
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge, 0);
  wr.wr.rdma.rkey = mr->rkey;
  std::atomic<int> written{0};
  std::atomic<bool> stop{false};
  Thread writer = Start([&] {
    while (!stop && a_.Post(wr) == 0 &&
           net_.Await(a_).status == IBV_WC_SUCCESS) {
      ++written;
    }
  });
  auto stop_it = absl::MakeCleanup([&] { stop = true; });
  const MonotonicTime deadline = Soon();
  while (written < 10) ASSERT_LT(RealClock().Now(), deadline);
  ASSERT_EQ(b_.verbs->DeregMr(mr), 0);
  // A plain write, which ThreadSanitizer holds against any access after it.
  memset(b_.memory.data(), 0x55, 512);
  writer.Join();  // ends by itself: its key is refused
  EXPECT_EQ(b_.memory[0], std::byte{0x55});
  EXPECT_EQ(b_.memory[511], std::byte{0x55});
}

TEST_P(EmulatedThreads, DestroyInMidFlight) {
  for (int i = 0; i < kRounds; ++i) {
    ibv_qp* qp = b_.MakeQp({});
    ASSERT_NE(qp, nullptr);
    std::swap(b_.qp, qp);
    ASSERT_EQ(b_.Connect(b_), 0);
    for (uint64_t j = 0; j < 8; ++j) ASSERT_EQ(b_.PostWrite(j, b_), 0);
    std::swap(b_.qp, qp);
    ASSERT_EQ(b_.verbs->DestroyQp(qp), 0);
    EXPECT_THAT(b_.Poll(), testing::IsEmpty());
  }
  EXPECT_EQ(net_.device_b.live_objects().qps, 1);
}

TEST_P(EmulatedThreads, FaultsWhileRequestsRun) {
  std::atomic<bool> stop{false};
  Thread breaker = Start([&] {
    while (!stop) {
      net_.device_b.SetPortActive(1, false);
      net_.device_b.SetPortActive(1, true);
      net_.fabric.SetFaultScript(
          [](const WorkRequestInfo&) { return Fault{}; });
    }
  });
  auto stop_it = absl::MakeCleanup([&] { stop = true; });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_EQ(a_.PostWrite(1, b_), 0);
    // Lost ones are retried by the clock, which kImmediate has a fake one of.
    const MonotonicTime deadline = Soon();
    ibv_wc wc;
    while (ibv_poll_cq(a_.cq, 1, &wc) == 0) {
      net_.clock.Advance(std::chrono::milliseconds(1));
      ASSERT_LT(RealClock().Now(), deadline);
    }
    if (wc.status == IBV_WC_SUCCESS) continue;
    EXPECT_EQ(wc.status, IBV_WC_RETRY_EXC_ERR);
    break;
  }
}

}  // namespace
}  // namespace te::rdma::emulated
