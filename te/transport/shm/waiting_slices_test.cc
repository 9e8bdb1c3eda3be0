#include "te/transport/shm/waiting_slices.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::shm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Waiting slices of 10, 20 and so on bytes.
class WaitingSlicesTest : public testing::Test {
 protected:
  void SetUp() override {
    SliceList list;
    for (size_t i = 0; i < slices_.size(); ++i) {
      slices_[i].length = static_cast<uint32_t>(10 * (i + 1));
      list.PushBack(slices_[i]);
    }
    waiting_.Append(std::move(list));
  }

  static std::vector<uint32_t> Lengths(SliceList list) {
    std::vector<uint32_t> lengths;
    while (!list.empty()) lengths.push_back(list.PopFront().length);
    return lengths;
  }

  std::vector<Slice> slices_ = std::vector<Slice>(4);
  WaitingSlices waiting_;
};

TEST_F(WaitingSlicesTest, AreTakenInOrderAsFarAsTheBytesGo) {
  EXPECT_FALSE(waiting_.empty());
  EXPECT_THAT(Lengths(waiting_.TakeSome(30)), ElementsAre(10, 20));
  EXPECT_FALSE(waiting_.empty());
  EXPECT_THAT(Lengths(waiting_.TakeSome(1000)), ElementsAre(30, 40));
  EXPECT_TRUE(waiting_.empty());
  EXPECT_THAT(Lengths(waiting_.TakeSome(1000)), IsEmpty());
}

TEST_F(WaitingSlicesTest, OneIsTakenHoweverLargeItIs) {
  EXPECT_THAT(Lengths(waiting_.TakeSome(1)), ElementsAre(10));
  EXPECT_THAT(Lengths(waiting_.TakeSome(0)), ElementsAre(20));
}

TEST_F(WaitingSlicesTest, ThoseThatMatchAreTakenOutOfTheMiddle) {
  const auto middle = [](const Slice& slice) {
    return slice.length == 20 || slice.length == 30;
  };
  EXPECT_THAT(Lengths(waiting_.TakeThoseThat(middle)), ElementsAre(20, 30));
  EXPECT_THAT(Lengths(waiting_.TakeThoseThat(middle)), IsEmpty());
  EXPECT_FALSE(waiting_.empty());
  EXPECT_THAT(Lengths(waiting_.TakeSome(1000)), ElementsAre(10, 40));
}

TEST_F(WaitingSlicesTest, NothingWaitsWhenAllAreTakenOut) {
  const auto all = [](const Slice&) { return true; };
  EXPECT_THAT(Lengths(waiting_.TakeThoseThat(all)),
              ElementsAre(10, 20, 30, 40));
  EXPECT_TRUE(waiting_.empty());
}

}  // namespace
}  // namespace te::shm
