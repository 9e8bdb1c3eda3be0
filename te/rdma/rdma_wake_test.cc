// Whom completions wake.

#include <cstdint>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"

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

}  // namespace
}  // namespace te::rdma
