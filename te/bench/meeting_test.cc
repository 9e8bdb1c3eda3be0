#include "te/bench/meeting.h"

#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"

namespace te::bench {
namespace {

TEST(MeetingTest, AllGoOnAtTheSameTime) {
  Meeting meeting(3);
  MonotonicTime times[3];
  EXPECT_EQ(meeting.time(), std::nullopt);
  std::vector<Thread> threads;
  for (int i = 0; i < 2; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(
        Thread thread, Thread::Start({.name = "guest"}, [&meeting, &times, i] {
          times[i] = meeting.Arrive();
        }));
    threads.push_back(std::move(thread));
  }
  times[2] = meeting.Arrive();
  threads.clear();
  EXPECT_EQ(times[0], times[2]);
  EXPECT_EQ(times[1], times[2]);
  EXPECT_EQ(meeting.time(), times[2]);
}

TEST(MeetingTest, DoesNotWaitForTheExcused) {
  Meeting meeting(2);
  meeting.Excuse();
  EXPECT_EQ(meeting.time(), std::nullopt);
  const MonotonicTime time = meeting.Arrive();
  EXPECT_EQ(meeting.time(), time);
}

}  // namespace
}  // namespace te::bench
