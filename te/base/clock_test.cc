#include "te/base/clock.h"

#include <chrono>

#include "gtest/gtest.h"
#include "te/base/fake_clock.h"

namespace te {
namespace {

using std::chrono::seconds;

// Made before the clock, so that it ends after everything that was made later.
struct UsesTheClockAtExit {
  ~UsesTheClockAtExit() { RealClock().Now(); }
} uses_the_clock_at_exit;

TEST(ClockTest, RealClockDoesNotGoBack) {
  MonotonicTime first = RealClock().Now();
  EXPECT_GE(RealClock().Now(), first);
}

TEST(ClockTest, FakeClockMovesOnlyWhenTold) {
  FakeClock clock;
  MonotonicTime start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(seconds(3));
  EXPECT_EQ(clock.Now(), start + seconds(3));
}

TEST(ClockTest, DeadlinesSaturate) {
  FakeClock clock;
  EXPECT_EQ(DeadlineAfter(clock.Now(), Duration::max()), kNoDeadline);
  EXPECT_EQ(DeadlineAfter(clock.Now(), seconds(1)), clock.Now() + seconds(1));
  EXPECT_EQ(DeadlineAfter(clock.Now(), -seconds(1)), clock.Now() - seconds(1));
}

TEST(ClockTest, TimeUntilIsNeverNegative) {
  FakeClock clock;
  EXPECT_EQ(TimeUntil(kNoDeadline, clock.Now()), Duration::max());
  EXPECT_EQ(TimeUntil(clock.Now() - seconds(1), clock.Now()), Duration::zero());
  EXPECT_EQ(TimeUntil(clock.Now() + seconds(1), clock.Now()), seconds(1));
}

}  // namespace
}  // namespace te
