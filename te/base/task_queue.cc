#include "te/base/task_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te {

absl::StatusOr<std::unique_ptr<TaskQueue>> TaskQueue::Create(
    absl::string_view name, int threads) {
  std::unique_ptr<TaskQueue> queue(new TaskQueue);
  for (int i = 0; i < threads; ++i) {
    TE_ASSIGN_OR_RETURN(Thread thread,
                        Thread::Start({.name = absl::StrCat(name, "-", i)},
                                      [queue = queue.get()] { queue->Run(); }));
    queue->threads_.push_back(std::move(thread));
  }
  return queue;
}

TaskQueue::~TaskQueue() { Stop(); }

void TaskQueue::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  threads_.clear();
}

bool TaskQueue::Drain(MonotonicTime deadline) {
  MutexLock lock(mutex_);
  while (running_ > 0 ||
         (!tasks_.empty() && tasks_.begin()->first <= RealClock().Now())) {
    if (!rested_.WaitUntil(mutex_, deadline) && RealClock().Now() >= deadline) {
      return false;
    }
  }
  return true;
}

void TaskQueue::Schedule(MonotonicTime due, std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    tasks_.emplace(due, std::move(task));
  }
  changed_.NotifyOne();
}

void TaskQueue::Run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    const auto first = tasks_.begin();
    if (first == tasks_.end() || first->first > RealClock().Now()) {
      changed_.WaitUntil(mutex_,
                         first == tasks_.end() ? kNoDeadline : first->first);
      continue;
    }
    std::function<void()> task = std::move(first->second);
    tasks_.erase(first);
    ++running_;
    mutex_.Unlock();
    task();
    // Its captures may own much: they go before the lock is taken again.
    task = nullptr;
    mutex_.Lock();
    if (--running_ == 0) rested_.NotifyAll();
  }
}

}  // namespace te
