#include "te/core/rail_scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kSlice = 256 << 10;
constexpr Duration kLatency = microseconds(10);

// Rails that carry one byte after the other.
class RailSchedulerTest : public testing::Test {
 protected:
  void AddRails(const std::vector<double>& bytes_per_second) {
    for (const double rate : bytes_per_second) {
      scheduler_.AddRail(0);
      rails_.push_back({.bytes_per_second = rate});
    }
  }
  std::optional<size_t> Send(const RailDemand& demand) {
    const auto rail = scheduler_.Choose(demand, now_);
    if (!rail) return rail;
    Rail& chosen = rails_[*rail];
    const double time = 1e9 * static_cast<double>(demand.bytes);
    chosen.free_at =
        std::max(chosen.free_at, now_) +
        Duration(static_cast<int64_t>(time / chosen.bytes_per_second));
    under_way_.push_back({.rail = *rail,
                          .bytes = demand.bytes,
                          .mark = scheduler_.Posted(*rail, demand.bytes, now_),
                          .due = chosen.free_at + kLatency});
    return rail;
  }
  // The next completion.
  void Advance() {
    const auto next = std::min_element(
        under_way_.begin(), under_way_.end(),
        [](const auto& a, const auto& b) { return a.due < b.due; });
    ASSERT_NE(next, under_way_.end());
    now_ = next->due;
    scheduler_.Completed(next->rail, next->bytes, next->mark, now_);
    rails_[next->rail].carried += next->bytes;
    under_way_.erase(next);
  }
  // Returns the time that it takes to send so much.
  Duration Transfer(uint64_t bytes) {
    const MonotonicTime begin = now_;
    while (bytes > 0) {
      while (bytes > 0 && Send({.bytes = kSlice, .backlog = bytes})) {
        bytes -= std::min(bytes, kSlice);
      }
      Advance();
    }
    while (!under_way_.empty()) Advance();
    return now_ - begin;
  }
  // What share of that rate it reaches, when it knows the rails.
  double Share(double bytes_per_second) {
    constexpr uint64_t kBytes = uint64_t{1} << 30;
    Transfer(kBytes);
    const Duration time = Transfer(kBytes);
    return static_cast<double>(kBytes) /
           std::chrono::duration<double>(time).count() / bytes_per_second;
  }

  struct Rail {
    double bytes_per_second;
    MonotonicTime free_at;
    uint64_t carried = 0;
  };
  struct UnderWay {
    size_t rail;
    uint64_t bytes;
    RailModel::Mark mark;
    MonotonicTime due;
  };

  MonotonicTime now_ = MonotonicTime() + seconds(100);
  RailScheduler scheduler_;
  std::vector<Rail> rails_;
  std::vector<UnderWay> under_way_;
};

TEST_F(RailSchedulerTest, FillsAllRails) {
  AddRails(std::vector<double>(8, 50e9));
  EXPECT_GT(Share(8 * 50e9), 0.95);
}

TEST_F(RailSchedulerTest, UsesUnequalRailsForWhatTheyCan) {
  AddRails({12.5e9, 50e9, 12.5e9, 50e9});
  EXPECT_GT(Share(125e9), 0.95);
}

TEST_F(RailSchedulerTest, WorksAroundASlowRail) {
  AddRails({50e9, 50e9, 50e9, 5e9, 50e9, 50e9, 50e9, 50e9});
  EXPECT_GT(Share(7.1 * 50e9), 0.95);
}

// Nobody waits for it in the end.
TEST_F(RailSchedulerTest, ASlowRailGetsNothingOfASmallTransfer) {
  AddRails({50e9, 1e9});
  Transfer(1 << 30);
  const uint64_t before = rails_[1].carried;
  Transfer(4 << 20);
  EXPECT_EQ(rails_[1].carried, before);
}

TEST_F(RailSchedulerTest, NearRailsComeFirst) {
  AddRails({50e9, 50e9});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice, .near_rails = 2}), 1U);
    Advance();
  }
}

TEST_F(RailSchedulerTest, AFarRailServesIfTheNearOneIsFarSlower) {
  AddRails({50e9, 0.5e9});
  Transfer(1 << 30);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice, .near_rails = 2}), 0U);
}

TEST_F(RailSchedulerTest, ARailThatFailsIsAvoided) {
  AddRails({50e9, 50e9});
  const auto first = Send({.bytes = kSlice, .backlog = kSlice});
  ASSERT_TRUE(first);
  under_way_.clear();
  scheduler_.Failed(*first, kSlice, now_);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice}), 1 - *first);
    Advance();
  }
  // Until it has had its pause.
  now_ = scheduler_.rail(*first).paused_until();
  Transfer(64 << 20);
  EXPECT_GT(rails_[*first].carried, 0U);
}

TEST_F(RailSchedulerTest, ARailThatIsPausedIsBetterThanNone) {
  AddRails({50e9});
  Send({.bytes = kSlice, .backlog = kSlice});
  under_way_.clear();
  scheduler_.Failed(0, kSlice, now_);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice}), 0U);
}

TEST_F(RailSchedulerTest, AnUnusableRailGetsNothing) {
  AddRails({50e9, 50e9});
  scheduler_.SetUse(0, RailScheduler::Use::kNone);
  Transfer(64 << 20);
  EXPECT_EQ(rails_[0].carried, 0U);
  scheduler_.SetUse(1, RailScheduler::Use::kNone);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice}), std::nullopt);
  scheduler_.SetUse(0, RailScheduler::Use::kFull);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = kSlice}), 0U);
}

TEST_F(RailSchedulerTest, ARailThatIsRevivedNeedNotPause) {
  AddRails({50e9, 50e9});
  Send({.bytes = kSlice, .backlog = kSlice});
  const size_t failed = under_way_.front().rail;
  under_way_.clear();
  scheduler_.Failed(failed, kSlice, now_);
  EXPECT_GT(scheduler_.rail(failed).paused_until(), now_);
  scheduler_.Revive(failed);
  EXPECT_LE(scheduler_.rail(failed).paused_until(), now_);
}

TEST_F(RailSchedulerTest, ARailThatIsStuckTakesNoNewSlices) {
  AddRails({50e9, 50e9});
  Transfer(64 << 20);
  ASSERT_TRUE(Send({.bytes = kSlice, .backlog = kSlice}));
  const size_t stuck = under_way_.front().rail;
  now_ += milliseconds(100);
  for (int i = 0; i < 20; ++i) {
    const auto rail = Send({.bytes = kSlice, .backlog = 64 * kSlice});
    if (rail) {
      EXPECT_NE(*rail, stuck);
    }
  }
}

TEST_F(RailSchedulerTest, ShortRequestsNeedNotWaitForAWindow) {
  AddRails({1e9});
  Transfer(1 << 30);
  while (Send({.bytes = kSlice, .backlog = 100 * kSlice})) {
  }
  EXPECT_EQ(Send({.bytes = 4096, .backlog = 4096, .bulk = false}), 0U);
}

// Nor do all engines of a cluster begin with the same NIC.
TEST_F(RailSchedulerTest, RailsThatAreAsGoodTakeTurns) {
  AddRails(std::vector<double>(4, 50e9));
  for (int i = 0; i < 100; ++i) {
    Send({.bytes = 4096, .backlog = 4096, .bulk = false});
    Advance();
  }
  for (const Rail& rail : rails_) EXPECT_EQ(rail.carried, 25U * 4096);
}

TEST_F(RailSchedulerTest, ARailOfWhichNobodyKnowsGetsOneSliceAtATime) {
  AddRails({50e9});
  scheduler_.SetUse(0, RailScheduler::Use::kOneSlice);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = 9 * kSlice}), 0U);
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = 8 * kSlice}), std::nullopt);
  EXPECT_EQ(Send({.bytes = 4096, .backlog = 4096, .bulk = false}),
            std::nullopt);
  Advance();
  EXPECT_EQ(Send({.bytes = kSlice, .backlog = 8 * kSlice}), 0U);
}

// There may be nothing but short requests for ever.
TEST_F(RailSchedulerTest, AShortRequestEndsATrial) {
  AddRails({50e9, 50e9});
  const auto first = Send({.bytes = 4096, .backlog = 4096, .bulk = false});
  under_way_.clear();
  scheduler_.Failed(*first, 4096, now_);
  now_ = scheduler_.rail(*first).paused_until();
  for (int i = 0; i < 10; ++i) {
    Send({.bytes = 4096, .backlog = 4096, .bulk = false});
    Advance();
  }
  EXPECT_FALSE(scheduler_.rail(*first).on_trial());
  EXPECT_GT(rails_[*first].carried, 0U);
}

// As when the host was held up at the wrong moment.
TEST_F(RailSchedulerTest, ARailThatWasLateOnceIsTriedAgain) {
  AddRails(std::vector<double>(4, 50e9));
  Transfer(64 << 20);
  now_ += seconds(3);
  const RailModel::Mark mark = scheduler_.Posted(0, 4096, now_);
  now_ += milliseconds(50);
  scheduler_.Completed(0, 4096, mark, now_);
  rails_[0].carried = 0;
  Transfer(4 << 20);
  EXPECT_EQ(rails_[0].carried, 0U);
  for (int i = 0; i < 20; ++i) {
    now_ += seconds(1);
    Transfer(4 << 20);
  }
  EXPECT_GT(rails_[0].carried, 0U);
}

TEST_F(RailSchedulerTest, WithoutNearRailsAllFarOnesServe) {
  AddRails({50e9, 50e9, 5e9});
  scheduler_.SetUse(0, RailScheduler::Use::kNone);
  constexpr uint64_t kBytes = 1 << 30;
  uint64_t left = kBytes;
  while (left > 0) {
    while (left > 0 &&
           Send({.bytes = kSlice, .backlog = left, .near_rails = 1})) {
      left -= kSlice;
    }
    Advance();
  }
  EXPECT_GT(rails_[2].carried, 0U);
}

// Many at a time do not overrun a peer either.
TEST_F(RailSchedulerTest, WhatIsUnderWayIsBounded) {
  AddRails(std::vector<double>(8, 50e9));
  const uint64_t most = RailScheduler::Options().max_in_flight;
  uint64_t sent = 0;
  while (Send({.bytes = 65536, .backlog = 65536, .bulk = false})) {
    sent += 65536;
    ASSERT_LE(sent, most);
  }
}

}  // namespace
}  // namespace te
