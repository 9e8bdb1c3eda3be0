// Whom completions wake.

#include <atomic>
#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

class RdmaWakeTest : public RailFixture {
 protected:
  void SetUp() override {
    MakeHosts();
    TE_ASSERT_OK(Start());
  }
  // As callers do it that have nothing else to do.
  void PostAndPoll() {
    RecordingSink sink(1);
    Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    rail_->BeginPolling();
    while (sink.done() == 0) rail_->Poll();
    rail_->EndPolling();
    TE_EXPECT_OK(sink.status());
  }
  // How often the queue was asked to wake somebody meanwhile.
  uint64_t NotifyRequestsOf(int transfers) {
    const uint64_t before = pair_->a(0).notify_requests();
    for (int i = 0; i < transfers; ++i) PostAndPoll();
    return pair_->a(0).notify_requests() - before;
  }
};

// A wake would take the CPU from it, or from who moves the data.
TEST_F(RdmaWakeTest, WhoComesToWaitIsNotDisturbed) {
  EXPECT_TRUE(Await([&] { return NotifyRequestsOf(100) < 10; }));
}

TEST_F(RdmaWakeTest, WhatNobodyWaitsForIsSeenAllTheSame) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(Await([&] { return NotifyRequestsOf(100) < 10; }));
    // It is learnt anew that nobody comes.
    const uint64_t before = pair_->a(0).notify_requests();
    EXPECT_TRUE(Await([&] {
      TE_EXPECT_OK(Transfer());
      return pair_->a(0).notify_requests() >= before + 20;
    }));
  }
}

// Posts a slice anew whenever it is back, so many times.
class ChainSink final : public CompletionSink {
 public:
  ChainSink(Rail& rail, int count) : rail_(rail), left_(count) {}
  void Done(Slice& slice, absl::Status status) override {
    TE_EXPECT_OK(status);
    if (left_ > 1) {
      Slice* const posted = &slice;
      --left_;
      rail_.Post({&posted, 1});
    } else {
      left_ = 0;
    }
  }
  bool ended() const { return left_ == 0; }

 private:
  Rail& rail_;
  std::atomic<int> left_;
};

// Its thread sees some completions only a moment after it was woken.
TEST_F(RdmaWakeTest, WhereNobodyEverPollsTheQueueIsAlwaysArmed) {
  RdmaOptions options = Quick();
  options.spin = std::chrono::milliseconds(1);
  Stop();
  TE_ASSERT_OK(Start(options));
  for (int round = 0; round < 50; ++round) {
    ChainSink chain(*rail_, 8);
    Slice slice = MakeSlice(Operation::kWrite, 0, 1000, chain);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    ASSERT_TRUE(Await([&] { return chain.ended(); }));
    // It may be armed already.
    const uint64_t before = pair_->a(0).notify_requests();
    for (int i = 0; i < 2; ++i) TE_EXPECT_OK(Transfer());
    EXPECT_GT(pair_->a(0).notify_requests(), before);
  }
}

}  // namespace
}  // namespace te::rdma
