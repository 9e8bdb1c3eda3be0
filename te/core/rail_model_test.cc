#include "te/core/rail_model.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>

#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A rail that carries one byte after the other, each of which arrives after the
// latency.
class RailModelTest : public testing::Test {
 protected:
  void Post() {
    const MonotonicTime begin = std::max(now_, free_at_);
    free_at_ = begin + Transmission(slice_);
    slices_.push_back(
        {.mark = model_.Posted(slice_, now_), .due = free_at_ + latency_});
  }
  void Complete() {
    now_ = std::max(now_, slices_.front().due);
    model_.Completed(slice_, slices_.front().mark, now_, options_);
    slices_.pop_front();
  }
  // As much as the window allows is under way for so long.
  void Run(Duration time) {
    const MonotonicTime end = now_ + time;
    while (now_ < end) {
      while (model_.has_room(/*tight=*/false, now_, options_)) Post();
      Complete();
    }
  }
  void Drain() {
    while (!slices_.empty()) Complete();
  }
  Duration Transmission(uint64_t bytes) const {
    return Duration(static_cast<int64_t>(1e9 * static_cast<double>(bytes) /
                                         bytes_per_second_));
  }
  double Rate() const {
    const double rate = model_.rate(now_, options_);
    return rate > 0 ? rate : 1e9;
  }

  struct UnderWay {
    RailModel::Mark mark;
    MonotonicTime due;
  };

  const RailModelOptions options_{};
  uint64_t slice_ = 256 << 10;
  double bytes_per_second_ = 50e9;
  Duration latency_ = microseconds(10);
  MonotonicTime now_ = MonotonicTime() + seconds(100);
  MonotonicTime free_at_;
  RailModel model_;
  std::deque<UnderWay> slices_;
};

TEST_F(RailModelTest, LearnsTheRate) {
  EXPECT_EQ(model_.rate(now_, options_), 0);
  Run(milliseconds(50));
  EXPECT_NEAR(model_.rate(now_, options_), 50e9, 2.5e9);
  EXPECT_LE(model_.latency(now_, options_), microseconds(20));
}

// The window grows although it is what limits the rate at first.
TEST_F(RailModelTest, LearnsTheRateOfALongPath) {
  latency_ = milliseconds(5);
  Run(milliseconds(200));
  EXPECT_NEAR(model_.rate(now_, options_), 50e9 / 5, 50e9)
      << "at least what max_window allows";
  EXPECT_GE(model_.window(false, now_, options_), options_.max_window / 2);
}

TEST_F(RailModelTest, NoticesThatARailHasBecomeSlow) {
  Run(milliseconds(50));
  bytes_per_second_ = 5e9;
  Run(milliseconds(50));
  EXPECT_NEAR(model_.rate(now_, options_), 5e9, 0.5e9);
  bytes_per_second_ = 50e9;
  Run(milliseconds(50));
  EXPECT_NEAR(model_.rate(now_, options_), 50e9, 5e9);
}

// Small transfers one at a time show the latency, not the rate.
TEST_F(RailModelTest, AnIdleRailIsNotTakenForASlowOne) {
  Run(milliseconds(50));
  Drain();
  for (int i = 0; i < 100; ++i) {
    now_ += microseconds(100);
    const RailModel::Mark mark = model_.Posted(4096, now_);
    now_ += microseconds(12);
    model_.Completed(4096, mark, now_, options_);
  }
  EXPECT_NEAR(model_.rate(now_, options_), 50e9, 2.5e9);
  EXPECT_LE(model_.latency(now_, options_), microseconds(13));
}

TEST_F(RailModelTest, ForgetsWhatNothingConfirms) {
  const uint64_t link = 40'000'000'000;
  model_ = RailModel(link);
  bytes_per_second_ = 4e9;
  Run(milliseconds(50));
  Drain();
  EXPECT_NEAR(model_.rate(now_, options_), 4e9, 0.4e9);
  now_ += options_.memory * 2;
  EXPECT_EQ(model_.rate(now_, options_), 40e9);
  // But it is tried with little.
  EXPECT_EQ(model_.window(false, now_, options_), options_.min_window);
  Run(milliseconds(5));
  EXPECT_NEAR(model_.rate(now_, options_), 4e9, 0.4e9);
}

// Although its window is shorter than a slice.
TEST_F(RailModelTest, LongSlicesDoNotGoOneByOne) {
  slice_ = 8 << 20;
  Run(milliseconds(50));
  Drain();
  now_ += options_.memory * 2;
  Run(milliseconds(50));
  EXPECT_NEAR(model_.rate(now_, options_), 50e9, 5e9);
}

// A poller who looks only now and then sees much at a time.
TEST_F(RailModelTest, WhatIsSeenLateDoesNotLookFast) {
  bytes_per_second_ = 5e9;
  for (int i = 0; i < 100; ++i) {
    while (model_.has_room(/*tight=*/false, now_, options_)) Post();
    now_ += milliseconds(1);
    while (!slices_.empty() && slices_.front().due <= now_) Complete();
  }
  EXPECT_LT(model_.rate(now_, options_), 7.5e9);
}

// Where a thread sleeps, each completion is seen a while after it has come.
TEST_F(RailModelTest, WhatIsSeenNowLateNowEarlyDoesNotLookFast) {
  bytes_per_second_ = 100e6;
  slice_ = 16 << 10;
  std::mt19937 random(1);
  for (int i = 0; i < 10'000; ++i) {
    while (model_.has_room(/*tight=*/true, now_, options_)) Post();
    slices_.front().due += microseconds(random() % 100);
    Complete();
  }
  EXPECT_NEAR(model_.rate(now_, options_), 100e6, 7e6);
  EXPECT_LT(model_.latency(now_, options_), microseconds(120));
}

// Short requests that never end beside long ones that come now and then.
TEST_F(RailModelTest, ATrickleDoesNotMakeBurstsLookSlow) {
  Run(milliseconds(50));
  Drain();
  constexpr uint64_t kShort = 4096;
  constexpr uint64_t kBurst = 4 << 20;
  MonotonicTime next_burst = now_ + milliseconds(3);
  std::deque<std::pair<uint64_t, UnderWay>> all;
  const auto post = [&](uint64_t bytes) {
    const MonotonicTime begin = std::max(now_, free_at_);
    free_at_ = begin + Transmission(bytes);
    all.push_back(
        {bytes,
         {.mark = model_.Posted(bytes, now_), .due = free_at_ + latency_}});
  };
  for (int i = 0; i < 3; ++i) post(kShort);
  for (const MonotonicTime end = now_ + milliseconds(100); now_ < end;) {
    const auto [bytes, first] = all.front();
    all.pop_front();
    now_ = std::max(now_, first.due);
    model_.Completed(bytes, first.mark, now_, options_);
    if (bytes == kShort) post(kShort);
    if (now_ < next_burst) continue;
    next_burst += milliseconds(3);
    for (uint64_t sent = 0; sent < kBurst; sent += slice_) post(slice_);
  }
  EXPECT_GT(model_.rate(now_, options_), 25e9);
  EXPECT_LT(model_.rate(now_, options_), 55e9);
}

TEST_F(RailModelTest, OneSliceThatIsLateDoesNotChangeTheLatency) {
  for (int i = 0; i < 10; ++i) {
    Post();
    if (i == 7) slices_.front().due += milliseconds(20);
    Complete();
  }
  EXPECT_LT(model_.latency(now_, options_), microseconds(20));
  // Of which slices are no longer than the path at its fastest.
  EXPECT_LE(model_.path_bytes(), 20e-6 * 50e9);
}

// Nothing is learned from what overtakes what has failed.
TEST_F(RailModelTest, WhatWasAheadMayFail) {
  const RailModel::Mark first = model_.Posted(8192, now_);
  const RailModel::Mark second = model_.Posted(4096, now_);
  EXPECT_GE(second.carried, first.carried);
  now_ += microseconds(50);
  model_.Failed(8192, now_, options_);
  model_.Completed(4096, second, now_, options_);
  EXPECT_LT(model_.rate(now_, options_), 1e12);
}

// A second is over in which few slices were alone: some are sent so. After a
// rest, when one was by itself, nothing waits.
TEST_F(RailModelTest, SlicesAreAloneAtTheEndOfATime) {
  Run(milliseconds(20));
  Drain();
  now_ += milliseconds(1500);
  Post();
  EXPECT_TRUE(model_.has_room(/*tight=*/false, now_, options_));
  Post();
  Drain();
  int alone = 0;
  const MonotonicTime end = now_ + seconds(3);
  while (now_ < end) {
    while (model_.has_room(/*tight=*/false, now_, options_)) {
      Post();
      if (slices_.back().mark.alone) ++alone;
    }
    Complete();
  }
  EXPECT_GE(alone, 8);
  EXPECT_LE(alone, 20);
}

TEST_F(RailModelTest, TheWindowIsSmallWhileShortRequestsAreAbout) {
  bytes_per_second_ = 1e9;
  latency_ = microseconds(20);
  Run(milliseconds(100));
  const uint64_t tight = model_.window(true, now_, options_);
  // What the path holds, and little more.
  EXPECT_LE(tight, static_cast<uint64_t>(1e9 * 400e-6));
  EXPECT_LT(tight, model_.window(false, now_, options_));
}

TEST_F(RailModelTest, APauseDoublesAndIsForgivenInTime) {
  Duration last = Duration::zero();
  for (int i = 0; i < 4; ++i) {
    Post();
    slices_.clear();
    model_.Failed(slice_, now_, options_);
    const Duration pause = model_.paused_until() - now_;
    EXPECT_GT(pause, last * 3 / 2);
    EXPECT_TRUE(model_.on_trial());
    last = pause;
    now_ = model_.paused_until();
  }
  // A success ends the trial, and not the memory of failures.
  Post();
  Complete();
  EXPECT_FALSE(model_.on_trial());
  Post();
  slices_.clear();
  model_.Failed(slice_, now_, options_);
  EXPECT_GT(model_.paused_until() - now_, last);
  now_ += 20 * options_.forgiveness;
  Post();
  slices_.clear();
  model_.Failed(slice_, now_, options_);
  EXPECT_LT(model_.paused_until() - now_, options_.first_pause * 11 / 10);
}

TEST_F(RailModelTest, WhatFailsTogetherIsOneFailure) {
  for (int i = 0; i < 10; ++i) Post();
  for (int i = 0; i < 10; ++i) model_.Failed(slice_, now_, options_);
  EXPECT_EQ(model_.paused_until() - now_, options_.first_pause);
  EXPECT_EQ(model_.in_flight(), 0U);
}

TEST_F(RailModelTest, OnTrialOneSliceAtATime) {
  Post();
  slices_.clear();
  model_.Failed(slice_, now_, options_);
  EXPECT_TRUE(model_.has_room(false, now_, options_));
  Post();
  EXPECT_FALSE(model_.has_room(false, now_, options_));
  Complete();
  Post();
  // In a moment in which none needs to be alone.
  now_ += milliseconds(100);
  EXPECT_TRUE(model_.has_room(false, now_, options_));
}

TEST_F(RailModelTest, NoticesThatARailIsStuck) {
  Run(milliseconds(50));
  EXPECT_FALSE(model_.stuck(now_, Rate()));
  now_ += milliseconds(100);
  EXPECT_TRUE(model_.stuck(now_, Rate()));
  Complete();
  EXPECT_FALSE(model_.stuck(now_, Rate()));
  Drain();
  now_ += seconds(10);
  EXPECT_FALSE(model_.stuck(now_, Rate())) << "nothing is under way";
}

}  // namespace
}  // namespace te
