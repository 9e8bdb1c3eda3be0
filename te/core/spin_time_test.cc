#include "te/core/spin_time.h"

#include <chrono>

#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

TEST(SpinTimeTest, IsShortUntilThereIsSomethingToLearn) {
  EXPECT_EQ(SpinTime(microseconds(50), microseconds(1000)).get(),
            microseconds(50));
}

TEST(SpinTimeTest, IsLongEnoughForAnAnswerThatSomebodySleptFor) {
  SpinTime time(microseconds(50), microseconds(1000));
  time.Learn(microseconds(300));
  EXPECT_EQ(time.get(), microseconds(600));
}

TEST(SpinTimeTest, IsNeverLongerThanTheMost) {
  SpinTime time(microseconds(50), microseconds(1000));
  time.Learn(microseconds(1000));
  EXPECT_EQ(time.get(), microseconds(1000));
}

TEST(SpinTimeTest, IsNeverShorterThanTheLeast) {
  SpinTime time(microseconds(50), microseconds(1000));
  time.Learn(microseconds(1));
  EXPECT_EQ(time.get(), microseconds(50));
}

TEST(SpinTimeTest, IsShortAgainAfterAnAnswerThatNobodyWouldLookFor) {
  SpinTime time(microseconds(50), microseconds(1000));
  time.Learn(microseconds(300));
  time.Learn(microseconds(1001));
  EXPECT_EQ(time.get(), microseconds(50));
}

TEST(SpinTimeTest, AMostBelowTheLeastMeansTheLeast) {
  SpinTime time(microseconds(50), microseconds(0));
  time.Learn(microseconds(40));
  EXPECT_EQ(time.get(), microseconds(50));
}

TEST(SpinTimeTest, ZeroStaysZero) {
  SpinTime time(Duration::zero(), seconds(1));
  time.Learn(microseconds(10));
  EXPECT_EQ(time.get(), Duration::zero());
}

}  // namespace
}  // namespace te
