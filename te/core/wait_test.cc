// Waiting for a batch: how long one looks before one sleeps.

#include <sched.h>

#include <atomic>
#include <chrono>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/engine_options.h"
#include "te/core/request.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WaitTest : public EngineFixture {
 protected:
  void SetUp() override {
    network_->set_on_polled([this] { ++times_polled_; });
  }

  Batch Submit() {
    const Request request = Write(0, 100);
    auto batch = client_.engine->Submit(absl::MakeConstSpan(&request, 1));
    TE_EXPECT_OK(batch);
    return *std::move(batch);
  }

  // Waits for an answer that comes `delay` after it was asked for. Returns
  // whether it was found by looking.
  bool FindsByLooking(Duration delay) {
    network_->Hold();
    Batch batch = Submit();
    times_polled_ = 0;
    bool found = false;
    const MonotonicTime due = RealClock().Now() + delay;
    auto answer = Thread::Start({.name = "answer"}, [&] {
      while (RealClock().Now() < due) sched_yield();
      network_->Release();
      while (times_polled_ == 0 && !batch.finished()) sched_yield();
      found = batch.finished();
      // The fake rail moves when somebody posts; nobody looks any more.
      if (!found) Submit();
    });
    TE_EXPECT_OK(answer);
    EXPECT_TRUE(batch.Wait(Soon()));
    answer->Join();
    return found;
  }

  std::atomic<int> times_polled_{0};
};

TEST_F(WaitTest, LearnsToLookForAsLongAsAPeersAnswersTake) {
  Start({.spin = microseconds(1), .max_spin = seconds(1)});
  EXPECT_FALSE(FindsByLooking(milliseconds(100)));
  EXPECT_TRUE(FindsByLooking(milliseconds(20)));
}

TEST_F(WaitTest, DoesNotLookForWhatTakesLongerThanTheMost) {
  Start({.spin = microseconds(1), .max_spin = milliseconds(10)});
  EXPECT_FALSE(FindsByLooking(milliseconds(100)));
  EXPECT_FALSE(FindsByLooking(milliseconds(20)));
}

}  // namespace
}  // namespace te
