// Sinks that call the rail back, as those do of a batch whose end cancels
// another one.

#include <atomic>
#include <chrono>
#include <thread>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using std::chrono::milliseconds;

class SinkCallTest : public RailFixture {
 protected:
  static RdmaOptions Impatient() {
    RdmaOptions options = Quick();
    options.flush_timeout = milliseconds(50);
    return options;
  }
  static void WithdrawNothing(Rail& rail) {
    rail.Withdraw([](const Slice&) { return false; }, absl::OkStatus());
  }
};

// Who retires the connection meanwhile must not wait for the sink while it
// keeps that from withdrawing something.
TEST_F(SinkCallTest, MayWithdrawWhileTheConnectionIsRetired) {
  MakeHosts();
  TE_ASSERT_OK(Start(Impatient()));
  const std::thread::id tester = std::this_thread::get_id();
  bool called_here = false;
  const auto call_back = [&](const Slice&, const absl::Status&) {
    // Not on the thread that is to retire the connection, which polls at times.
    if (std::this_thread::get_id() != tester) return;
    called_here = true;
    pair_->a(0).SetPortActive(1, false);
    EXPECT_TRUE(
        Await([this] { return rail_->state() != Rail::State::kReady; }));
    pair_->a(0).SetPortActive(1, true);
    EXPECT_TRUE(Await([this] {
      WithdrawNothing(*rail_);
      rail_->Prepare();
      // Nobody else does as long as this thread is a poller.
      rail_->Poll();
      return rail_->state() == Rail::State::kReady;
    }));
  };
  rail_->BeginPolling();
  while (!called_here) {
    RecordingSink sink(1, call_back);
    Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    while (sink.done() == 0) rail_->Poll();
    TE_ASSERT_OK(sink.status());
  }
  rail_->EndPolling();
  AwaitHealingOfRail();
}

// What a poller has in its hands has not been given back yet.
TEST_F(SinkCallTest, CloseWaitsForASink) {
  MakeHosts();
  TE_ASSERT_OK(Start(Impatient()));
  std::atomic<bool> inside{false};
  std::atomic<bool> closed{false};
  RecordingSink sink(1, [&](const Slice&, const absl::Status&) {
    inside = true;
    EXPECT_TRUE(Await([this] { return !rail_->health().ok(); }));
    // Longer than it takes to close a rail on which nothing is under way.
    const MonotonicTime end = In(milliseconds(300));
    while (!closed && RealClock().Now() < end) std::this_thread::yield();
    EXPECT_FALSE(closed);
  });
  auto closer = Thread::Start({.name = "closer"}, [&] {
    EXPECT_TRUE(Await([&] { return inside.load(); }));
    rail_->Close(absl::CancelledError("closed by test"));
    closed = true;
  });
  TE_ASSERT_OK(closer);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
  Slice* const posted = &slice;
  // Else the device's thread calls the sink, for which Close waits anyway.
  rail_->BeginPolling();
  rail_->Post({&posted, 1});
  while (sink.done() == 0) rail_->Poll();
  rail_->EndPolling();
  closer->Join();
}

}  // namespace
}  // namespace te::rdma
