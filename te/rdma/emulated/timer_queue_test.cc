#include "te/rdma/emulated/timer_queue.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace te::rdma::emulated {
namespace {

using testing::ElementsAre;

MonotonicTime At(int ns) { return MonotonicTime(Duration(ns)); }

std::vector<uint64_t> PopAll(TimerQueue& queue, MonotonicTime now) {
  std::vector<uint64_t> objects;
  TimerQueue::Timer timer;
  while (queue.PopDue(now, &timer)) objects.push_back(timer.object);
  return objects;
}

TEST(TimerQueue, ByTimeThenByOrderOfAdd) {
  TimerQueue queue;
  EXPECT_EQ(queue.next_due(), kNoDeadline);
  queue.Add(At(20), 1);
  queue.Add(At(10), 2);
  queue.Add(At(20), 3);
  queue.Add(At(10), 4);
  queue.Add(At(30), 5);
  EXPECT_EQ(queue.next_due(), At(10));
  EXPECT_THAT(PopAll(queue, At(9)), ElementsAre());
  EXPECT_THAT(PopAll(queue, At(20)), ElementsAre(2, 4, 1, 3));
  EXPECT_FALSE(queue.empty());
  EXPECT_THAT(PopAll(queue, At(30)), ElementsAre(5));
  EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, IdsAreNeverReused) {
  TimerQueue queue;
  const uint64_t first = queue.Add(At(1), 7);
  EXPECT_NE(first, 0u);
  TimerQueue::Timer timer;
  ASSERT_TRUE(queue.PopDue(At(1), &timer));
  EXPECT_EQ(timer.id, first);
  EXPECT_GT(queue.Add(At(1), 7), first);
}

}  // namespace
}  // namespace te::rdma::emulated
