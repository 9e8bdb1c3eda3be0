#include "te/transport/shm/link_watcher.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"

namespace te::shm {
namespace {

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

// Counts events, each of which it takes from its descriptor, up to so many.
class Counter final : public LinkWatcher::Listener {
 public:
  explicit Counter(int most) : most_(most) {}

  int fd() const { return fd_.get(); }
  void Signal() const { eventfd_write(fd_.get(), 1); }

  bool OnEvent() override {
    MutexLock lock(mutex_);
    uint64_t value = 0;
    // The last one stays, so that epoll would go on to report it.
    if (++count_ < most_) eventfd_read(fd_.get(), &value);
    changed_.NotifyAll();
    return count_ < most_;
  }
  int Await(int count) {
    const MonotonicTime deadline = Soon();
    MutexLock lock(mutex_);
    while (count_ < count && changed_.WaitUntil(mutex_, deadline)) {
    }
    return count_;
  }

 private:
  const int most_;
  const UniqueFd fd_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Mutex mutex_;
  CondVar changed_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

class LinkWatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(watcher_, LinkWatcher::Create());
  }
  // Whatever was signalled before has been dealt with once this returns.
  void AwaitAllElse() {
    Counter last(1);
    TE_ASSERT_OK(watcher_->Watch(last, {last.fd()}));
    last.Signal();
    EXPECT_EQ(last.Await(1), 1);
    watcher_->Forget(last);
  }

  std::unique_ptr<LinkWatcher> watcher_;
};

TEST_F(LinkWatcherTest, EachHearsOfItsOwn) {
  Counter one(100);
  Counter two(100);
  TE_ASSERT_OK(watcher_->Watch(one, {one.fd()}));
  TE_ASSERT_OK(watcher_->Watch(two, {two.fd()}));
  for (int i = 1; i <= 3; ++i) {
    one.Signal();
    EXPECT_EQ(one.Await(i), i);
  }
  two.Signal();
  EXPECT_EQ(two.Await(1), 1);
  EXPECT_EQ(one.Await(3), 3);
  watcher_->Forget(one);
  watcher_->Forget(two);
}

TEST_F(LinkWatcherTest, WhoHasHeardAllIsNotCalledAgain) {
  Counter counter(2);
  TE_ASSERT_OK(watcher_->Watch(counter, {counter.fd()}));
  counter.Signal();
  EXPECT_EQ(counter.Await(1), 1);
  counter.Signal();
  EXPECT_EQ(counter.Await(2), 2);
  AwaitAllElse();
  EXPECT_EQ(counter.Await(2), 2);
  watcher_->Forget(counter);
}

// Also while the descriptor lives on, as in a child of a fork.
TEST_F(LinkWatcherTest, WhoIsForgottenIsNotCalled) {
  const UniqueFd copy = [&] {
    Counter counter(100);
    TE_EXPECT_OK(watcher_->Watch(counter, {counter.fd()}));
    watcher_->Forget(counter);
    return UniqueFd(fcntl(counter.fd(), F_DUPFD_CLOEXEC, 0));
  }();
  eventfd_write(copy.get(), 1);
  AwaitAllElse();
}

TEST_F(LinkWatcherTest, AnyOfItsDescriptorsCounts) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Counter counter(1);
  TE_ASSERT_OK(watcher_->Watch(counter, {counter.fd(), read_end.get()}));
  // Its other end goes.
  write_end.reset();
  EXPECT_EQ(counter.Await(1), 1);
  watcher_->Forget(counter);
}

TEST_F(LinkWatcherTest, WhatCannotBeWatchedIsAnError) {
  Counter counter(1);
  EXPECT_FALSE(watcher_->Watch(counter, {counter.fd(), -1}).ok());
  counter.Signal();
  AwaitAllElse();
  EXPECT_EQ(counter.Await(0), 0);
}

}  // namespace
}  // namespace te::shm
