#include "te/core/slice_queue.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr uint32_t kLong = 4 << 20;
constexpr uint32_t kShort = 4096;

class SliceQueueTest : public testing::Test {
 protected:
  // As one batch posts them. Their number is Slice::request.
  void Push(uint32_t request, size_t count, uint32_t length, bool bulk,
            Duration timeout = seconds(30)) {
    RecordingSink& owner = owners_.emplace_back(count);
    SliceList list;
    for (size_t i = 0; i < count; ++i) {
      Slice& slice = slices_.emplace_back();
      slice.owner = &owner;
      slice.request = request;
      slice.length = length;
      slice.bulk = bulk;
      slice.deadline = now_ + timeout;
      list.PushBack(slice);
    }
    queue_.Push(std::move(list));
  }
  std::vector<uint32_t> Pop(size_t count, Duration time_left = {}) {
    std::vector<uint32_t> order;
    while (order.size() < count && queue_.Front(now_, time_left) != nullptr) {
      order.push_back(queue_.Pop().request);
    }
    return order;
  }

  MonotonicTime now_ = MonotonicTime() + seconds(100);
  std::deque<RecordingSink> owners_;
  std::deque<Slice> slices_;
  SliceQueue queue_;
};

TEST_F(SliceQueueTest, IsEmptyAtFirst) {
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.Front(now_, {}), nullptr);
  EXPECT_TRUE(queue_.TakeAll().empty());
}

TEST_F(SliceQueueTest, LongRequestsTakeTurns) {
  Push(1, 3, kLong, true);
  Push(2, 3, kLong, true);
  Push(3, 1, kLong, true);
  EXPECT_EQ(queue_.bytes(), 7U * kLong);
  EXPECT_THAT(Pop(9), ElementsAre(1, 2, 3, 1, 2, 1, 2));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.bytes(), 0U);
}

TEST_F(SliceQueueTest, TurnsAreOfEqualBytes) {
  Push(1, 2, kLong, true);
  Push(2, 8, kLong / 4, true);
  EXPECT_THAT(Pop(10), ElementsAre(1, 2, 2, 2, 2, 1, 2, 2, 2, 2));
}

TEST_F(SliceQueueTest, ShortRequestsGoFirst) {
  Push(1, 100, kLong, true);
  EXPECT_THAT(Pop(1), ElementsAre(1));
  Push(2, 2, kShort, false);
  EXPECT_THAT(Pop(3), ElementsAre(2, 2, 1));
}

TEST_F(SliceQueueTest, AShortRequestDoesNotWaitForAllOfALongBatch) {
  Push(1, 10'000, 64 << 10, false);
  EXPECT_THAT(Pop(1), ElementsAre(1));
  Push(2, 1, kShort, false);
  EXPECT_THAT(Pop(2), testing::Contains(2));
}

TEST_F(SliceQueueTest, ShortRequestsAloneCanBeAskedFor) {
  Push(1, 2, kLong, true);
  EXPECT_EQ(queue_.Front(now_, {}, /*bulk_too=*/false), nullptr);
  Push(2, 1, kShort, false);
  ASSERT_NE(queue_.Front(now_, {}, /*bulk_too=*/false), nullptr);
  EXPECT_EQ(queue_.Pop().request, 2U);
}

TEST_F(SliceQueueTest, AStretchEndsWithItsFlow) {
  Push(1, 3, kShort, false);
  Push(2, 3, kShort, false);
  std::vector<Slice*> taken;
  ASSERT_NE(queue_.Front(now_, {}), nullptr);
  EXPECT_EQ(queue_.PopStretch(1 << 20, 64, taken), 3U * kShort);
  EXPECT_EQ(taken.size(), 3U);
  ASSERT_NE(queue_.Front(now_, {}), nullptr);
  EXPECT_EQ(queue_.PopStretch(2 * kShort, 64, taken), 2U * kShort);
  ASSERT_NE(queue_.Front(now_, {}), nullptr);
  EXPECT_EQ(queue_.PopStretch(1, 64, taken), kShort) << "one at least";
  EXPECT_TRUE(queue_.empty());
}

TEST_F(SliceQueueTest, TheEarliestDeadlineOfShortRequestsGoesFirstIfLate) {
  Push(1, 1, kShort, false, seconds(3));
  Push(2, 1, kShort, false, seconds(1));
  Push(3, 1, kShort, false, seconds(2));
  EXPECT_THAT(Pop(3, seconds(5)), ElementsAre(2, 3, 1));
}

TEST_F(SliceQueueTest, EqualDeadlinesKeepTheirOrder) {
  Push(1, 1, kShort, false);
  Push(2, 1, kShort, false);
  EXPECT_THAT(Pop(2), ElementsAre(1, 2));
}

TEST_F(SliceQueueTest, WhatIsOwedIsUrgent) {
  Push(1, 1, kLong, true);
  ASSERT_NE(queue_.Front(now_, {}), nullptr);
  EXPECT_FALSE(queue_.is_urgent());
  Push(2, 1'000, kShort, false);
  ASSERT_NE(queue_.Front(now_, {}, /*bulk_too=*/false), nullptr);
  EXPECT_TRUE(queue_.is_urgent());
  const auto order = Pop(600);
  EXPECT_THAT(order, testing::Contains(1)) << "after a while";
}

TEST_F(SliceQueueTest, LongRequestsAreNotStarved) {
  Push(1, 10, kLong, true);
  Push(2, 60'000, kShort, false);
  size_t long_bytes = 0;
  size_t short_bytes = 0;
  while (long_bytes < 5 * kLong) {
    ASSERT_NE(queue_.Front(now_, {}), nullptr);
    const Slice& slice = queue_.Pop();
    (slice.bulk ? long_bytes : short_bytes) += slice.length;
  }
  EXPECT_LE(short_bytes, 8 * long_bytes);
  // The last one is owed, too.
  EXPECT_GE(short_bytes, 5 * long_bytes);
}

TEST_F(SliceQueueTest, WhoMightBeLateGoesFirst) {
  Push(1, 3, kLong, true, seconds(30));
  Push(2, 2, kLong, true, milliseconds(10));
  EXPECT_THAT(Pop(2, milliseconds(1)), ElementsAre(1, 2));
  EXPECT_THAT(Pop(3, milliseconds(20)), ElementsAre(2, 1, 1));
}

// A flow that comes before the one whose turn it is does not change that.
TEST_F(SliceQueueTest, AnEarlierDeadlineDoesNotSkipAnyonesTurn) {
  Push(1, 2, kLong, true, seconds(30));
  Push(2, 2, kLong, true, seconds(30));
  EXPECT_THAT(Pop(1), ElementsAre(1));
  Push(3, 1, kLong, true, seconds(20));
  EXPECT_THAT(Pop(4), ElementsAre(2, 3, 1, 2));
}

TEST_F(SliceQueueTest, RemovesWhatMatches) {
  Push(1, 2, kLong, true);
  Push(2, 2, kLong, true);
  Push(2, 1, kShort, false);
  SliceList removed =
      queue_.Remove([](const Slice& slice) { return slice.request == 2; });
  size_t count = 0;
  for (; !removed.empty(); ++count) removed.PopFront();
  EXPECT_EQ(count, 3U);
  EXPECT_EQ(queue_.bytes(), 2U * kLong);
  EXPECT_THAT(Pop(9), ElementsAre(1, 1));
}

}  // namespace
}  // namespace te
