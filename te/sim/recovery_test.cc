#include "te/sim/recovery.h"

#include <chrono>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace te::sim {
namespace {

using std::chrono::milliseconds;

const std::vector<double> kThroughputs = {9, 9, 1, 9, 1, 5, 9, 9, 9, 9};

TEST(RecoveryTest, IsReachedOnceItStaysSo) {
  EXPECT_EQ(TimeToReach(kThroughputs, milliseconds(1), milliseconds(2),
                        milliseconds(10), 8, milliseconds(3)),
            milliseconds(4));
  EXPECT_EQ(TimeToReach(kThroughputs, milliseconds(1), milliseconds(0),
                        milliseconds(10), 8, milliseconds(1)),
            milliseconds(0));
}

TEST(RecoveryTest, IsNotReachedAfterwards) {
  EXPECT_EQ(TimeToReach(kThroughputs, milliseconds(1), milliseconds(2),
                        milliseconds(8), 8, milliseconds(3)),
            std::nullopt);
}

}  // namespace
}  // namespace te::sim
