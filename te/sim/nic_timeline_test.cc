#include "te/sim/nic_timeline.h"

#include <chrono>
#include <optional>

#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te::sim {
namespace {

using std::chrono::seconds;

constexpr MonotonicTime kStart{seconds(100)};

TEST(NicTimelineTest, BytesTakeTheirTime) {
  const NicTimeline nic(1'000);
  EXPECT_EQ(nic.Finish(kStart, 3'000), kStart + seconds(3));
  EXPECT_EQ(nic.CutDuring(kStart, kStart + seconds(9)), std::nullopt);
}

TEST(NicTimelineTest, AThrottleSlowsWhatIsUnderWay) {
  NicTimeline nic(1'000);
  nic.Scale(kStart + seconds(1), kStart + seconds(11), 0.1);
  // 1000 before, 1000 in ten seconds, 500 after that.
  EXPECT_EQ(nic.Finish(kStart, 2'500),
            kStart + std::chrono::milliseconds(11'500));
  EXPECT_EQ(nic.RateAt(kStart + seconds(5)), 100);
  EXPECT_DOUBLE_EQ(nic.MeanRate(kStart, kStart + seconds(2)), 550);
}

TEST(NicTimelineTest, ACutLetsNothingThrough) {
  NicTimeline nic(1'000);
  nic.Scale(kStart + seconds(1), kStart + seconds(3), 0);
  EXPECT_EQ(nic.Finish(kStart, 2'000), kStart + seconds(4));
  EXPECT_EQ(nic.CutDuring(kStart, kStart + seconds(9)), kStart + seconds(1));
  EXPECT_EQ(nic.CutDuring(kStart + seconds(2), kStart + seconds(9)),
            kStart + seconds(2));
  EXPECT_EQ(nic.CutDuring(kStart + seconds(3), kStart + seconds(9)),
            std::nullopt);
}

TEST(NicTimelineTest, ACutForEverEndsNothing) {
  NicTimeline nic(1'000);
  nic.Scale(kStart, kNoDeadline, 0);
  EXPECT_EQ(nic.Finish(kStart, 1), kNoDeadline);
}

TEST(NicTimelineTest, FaultsOverlap) {
  NicTimeline nic(1'000);
  nic.Scale(kStart, kStart + seconds(4), 0.5);
  nic.Scale(kStart + seconds(2), kStart + seconds(6), 0.5);
  EXPECT_EQ(nic.RateAt(kStart + seconds(1)), 500);
  EXPECT_EQ(nic.RateAt(kStart + seconds(3)), 250);
  EXPECT_EQ(nic.RateAt(kStart + seconds(5)), 500);
  EXPECT_EQ(nic.RateAt(kStart + seconds(6)), 1'000);
}

}  // namespace
}  // namespace te::sim
