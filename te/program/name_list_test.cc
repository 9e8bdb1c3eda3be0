#include "te/program/name_list.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace te::program {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NameListTest, HasEachNameOnce) {
  EXPECT_THAT(ParseNameList(""), IsEmpty());
  EXPECT_THAT(ParseNameList(" ,, "), IsEmpty());
  EXPECT_THAT(ParseNameList("b"), ElementsAre("b"));
  EXPECT_THAT(ParseNameList("b, a ,,b,c"), ElementsAre("b", "a", "c"));
}

}  // namespace
}  // namespace te::program
