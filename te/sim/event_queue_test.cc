#include "te/sim/event_queue.h"

#include <chrono>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/sim/random.h"

namespace te::sim {
namespace {

using std::chrono::nanoseconds;

TEST(EventQueueTest, EventsHappenInTheOrderOfTheirTimes) {
  EventQueue events;
  Random random(7);
  for (int i = 0; i < 10'000; ++i) {
    events.Push(EventQueue::kStart + nanoseconds(random.Below(1'000)),
                EventKind::kWake, i);
  }
  MonotonicTime last = EventQueue::kStart;
  uint32_t last_subject = 0;
  while (!events.empty()) {
    const Event event = events.Pop();
    ASSERT_GE(event.at, last);
    // Of the same time, in the order in which they were pushed.
    if (event.at == last && event.order > 0) {
      ASSERT_GE(event.subject, last_subject);
    }
    ASSERT_EQ(events.now(), event.at);
    last = event.at;
    last_subject = event.subject;
  }
  EXPECT_EQ(events.count(), 10'000);
}

TEST(EventQueueTest, TheClockDoesNotGoBack) {
  EventQueue events;
  events.Push(EventQueue::kStart + nanoseconds(5), EventKind::kWake, 0);
  events.Pop();
  events.Push(EventQueue::kStart, EventKind::kWake, 1);
  EXPECT_EQ(events.Pop().at, EventQueue::kStart + nanoseconds(5));
}

TEST(EventQueueTest, WhatIsNeverToHappenDoesNot) {
  EventQueue events;
  events.Push(kNoDeadline, EventKind::kWake, 0);
  EXPECT_TRUE(events.empty());
}

}  // namespace
}  // namespace te::sim
