#include "te/program/number_ranges.h"

#include "gtest/gtest.h"

namespace te::program {
namespace {

TEST(NumberRangesTest, JoinsWhatFollowsEachOther) {
  EXPECT_EQ(FormatRanges({}), "none");
  EXPECT_EQ(FormatRanges({5}), "5");
  EXPECT_EQ(FormatRanges({0, 1, 2, 3, 8}), "0-3,8");
  EXPECT_EQ(FormatRanges({0, 2, 3}), "0,2-3");
}

}  // namespace
}  // namespace te::program
