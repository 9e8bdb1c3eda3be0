#include "te/base/mutex.h"

#include <chrono>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te {
namespace {

struct Counter {
  Mutex mutex;
  CondVar changed;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, ExcludesOtherThreads) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&counter] {
      for (int j = 0; j < 1000; ++j) {
        MutexLock lock(counter.mutex);
        ++counter.value;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(counter.mutex);
  EXPECT_EQ(counter.value, 4000);
}

TEST(MutexTest, TryLockFailsWhileHeld) {
  Mutex mutex;
  mutex.Lock();
  std::thread([&mutex] {
    bool locked = mutex.TryLock();
    EXPECT_FALSE(locked);
    if (locked) mutex.Unlock();
  }).join();
  mutex.Unlock();
  bool locked = mutex.TryLock();
  EXPECT_TRUE(locked);
  if (locked) mutex.Unlock();
}

TEST(CondVarTest, WakesTheWaiter) {
  Counter counter;
  std::thread waker([&counter] {
    MutexLock lock(counter.mutex);
    counter.value = 1;
    counter.changed.NotifyAll();
  });
  {
    MutexLock lock(counter.mutex);
    while (counter.value == 0) {
      EXPECT_TRUE(counter.changed.WaitUntil(counter.mutex, kNoDeadline));
    }
    EXPECT_EQ(counter.value, 1);
  }
  waker.join();
}

TEST(CondVarTest, GivesUpAtTheDeadlineAndHoldsTheMutex) {
  Counter counter;
  MonotonicTime deadline = RealClock().Now() + std::chrono::milliseconds(5);
  MutexLock lock(counter.mutex);
  while (counter.changed.WaitUntil(counter.mutex, deadline)) {
  }
  EXPECT_GE(RealClock().Now(), deadline);
  counter.value = 2;
}

TEST(CondVarTest, APastDeadlineDoesNotBlock) {
  Counter counter;
  MutexLock lock(counter.mutex);
  EXPECT_FALSE(counter.changed.WaitUntil(counter.mutex, MonotonicTime()));
}

}  // namespace
}  // namespace te
