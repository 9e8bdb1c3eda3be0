#include "te/base/task_queue.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonotonicTime In(Duration duration) {
  return DeadlineAfter(RealClock().Now(), duration);
}

// Something that one task does and others wait for.
class Signal {
 public:
  void Send() {
    MutexLock lock(mutex_);
    sent_ = true;
    changed_.NotifyAll();
  }
  bool Await() {
    const MonotonicTime deadline = In(seconds(60));
    MutexLock lock(mutex_);
    while (!sent_) {
      if (!changed_.WaitUntil(mutex_, deadline)) return sent_;
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool sent_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST(TaskQueueTest, RunsInOrderOfTheirTimes) {
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                          TaskQueue::Create("test", 1));
  Signal begin;
  queue->Schedule(In(Duration::zero()), [&] { begin.Await(); });
  std::vector<int> order;
  Signal end;
  const MonotonicTime now = RealClock().Now();
  queue->Schedule(now + milliseconds(2), [&] {
    EXPECT_GE(RealClock().Now(), now + milliseconds(2));
    order.push_back(4);
    end.Send();
  });
  queue->Schedule(now, [&] { order.push_back(2); });
  queue->Schedule(now, [&] { order.push_back(3); });
  queue->Schedule(now - seconds(1), [&] { order.push_back(1); });
  begin.Send();
  ASSERT_TRUE(end.Await());
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3, 4));
}

TEST(TaskQueueTest, ABlockedTaskDelaysNoOther) {
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                          TaskQueue::Create("test", 2));
  for (int i = 0; i < 50; ++i) {
    Signal other;
    Signal end;
    queue->Schedule(In(milliseconds(1)), [&] {
      EXPECT_TRUE(other.Await());
      end.Send();
    });
    queue->Schedule(In(milliseconds(i % 3)), [&] { other.Send(); });
    ASSERT_TRUE(end.Await());
  }
}

TEST(TaskQueueTest, ATaskMaySchedule) {
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                          TaskQueue::Create("test", 1));
  Signal end;
  queue->Schedule(RealClock().Now(), [&] {
    queue->Schedule(RealClock().Now(), [&] { end.Send(); });
  });
  EXPECT_TRUE(end.Await());
}

TEST(TaskQueueTest, DrainWaitsForWhatIsDue) {
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                          TaskQueue::Create("test", 1));
  EXPECT_TRUE(queue->Drain(In(seconds(60))));
  std::atomic<int> done = 0;
  Signal go_on;
  queue->Schedule(RealClock().Now(), [&] {
    EXPECT_TRUE(go_on.Await());
    queue->Schedule(RealClock().Now(), [&] { ++done; });
    ++done;
  });
  queue->Schedule(RealClock().Now(), [&] { ++done; });
  queue->Schedule(In(seconds(3600)), [&] { ++done; });
  EXPECT_FALSE(queue->Drain(In(milliseconds(1))));
  go_on.Send();
  EXPECT_TRUE(queue->Drain(In(seconds(60))));
  EXPECT_EQ(done, 3);
}

TEST(TaskQueueTest, TheEndWaitsForRunningTasksAndDropsTheOthers) {
  const auto owned = std::make_shared<int>();
  Signal running;
  Signal go_on;
  std::atomic<bool> ended = false;
  {
    TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                            TaskQueue::Create("test", 1));
    queue->Schedule(RealClock().Now(), [&] {
      running.Send();
      go_on.Await();
      ended = true;
    });
    queue->Schedule(In(seconds(3600)),
                    [owned] { ADD_FAILURE() << "a dropped task has run"; });
    ASSERT_TRUE(running.Await());
    go_on.Send();
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(TaskQueueTest, NothingRunsOnceItIsStopped) {
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TaskQueue> queue,
                          TaskQueue::Create("test", 1));
  Signal running;
  std::atomic<bool> ended = false;
  queue->Schedule(RealClock().Now(), [&] {
    running.Send();
    ended = true;
  });
  ASSERT_TRUE(running.Await());
  queue->Stop();
  EXPECT_TRUE(ended);
  queue->Schedule(RealClock().Now(),
                  [] { ADD_FAILURE() << "a task of a stopped queue has run"; });
  queue->Stop();
}

}  // namespace
}  // namespace te
