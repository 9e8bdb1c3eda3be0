#ifndef TE_BASE_TASK_QUEUE_H_
#define TE_BASE_TASK_QUEUE_H_

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"

namespace te {

// A few threads for work that may block on the control plane: reconnecting, or
// notifying. A task belongs to something that is bounded itself, and there is
// at most one per such thing, which bounds the queue. Thread-safe.
class TaskQueue {
 public:
  // `threads` at least 1: so many tasks may block at the same time without
  // delaying others. They are called `name`-0, and so on.
  static absl::StatusOr<std::unique_ptr<TaskQueue>> Create(
      absl::string_view name, int threads);
  // Waits for the running tasks; the others are dropped.
  ~TaskQueue();

  // The same, but for what is destroyed: tasks of other queues may go on to
  // schedule here, which has no effect any more. Not from a task.
  void Stop();

  // Waits until no task is running, and none is due that is not; false when
  // `deadline` has passed first. Not from a task.
  bool Drain(MonotonicTime deadline);

  // Runs `task` once, not before `due`. Tasks of equal time keep their order.
  void Schedule(MonotonicTime due, std::function<void()> task);

 private:
  TaskQueue() = default;
  void Run();

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  // Told when the last running task has ended.
  CondVar rested_;
  std::multimap<MonotonicTime, std::function<void()>> tasks_
      ABSL_GUARDED_BY(mutex_);
  std::vector<Thread> threads_;
};

}  // namespace te

#endif  // TE_BASE_TASK_QUEUE_H_
