#include "te/core/deadline_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "te/base/status_macros.h"
#include "te/core/batch_state.h"

namespace te {
namespace {

// A batch that is being aborted is looked after so often: a slice of it may
// just have been on its way from one place to another.
constexpr Duration kInsistence = std::chrono::milliseconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<DeadlineKeeper>> DeadlineKeeper::Create(
    BatchPool& pool) {
  std::unique_ptr<DeadlineKeeper> keeper(new DeadlineKeeper(pool));
  TE_ASSIGN_OR_RETURN(keeper->thread_, Thread::Start({.name = "te-deadlines"},
                                                     [keeper = keeper.get()] {
                                                       keeper->Run();
                                                     }));
  return keeper;
}

DeadlineKeeper::~DeadlineKeeper() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.Join();
}

void DeadlineKeeper::Notice(MonotonicTime deadline) {
  if (deadline >= next_.load()) return;
  MutexLock lock(mutex_);
  if (deadline >= next_.load()) return;
  next_ = deadline;
  changed_.NotifyOne();
}

void DeadlineKeeper::Run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    const MonotonicTime next = next_;
    if (next > RealClock().Now()) {
      changed_.WaitUntil(mutex_, next);
      continue;
    }
    // Batches that are launched from here on say so themselves.
    next_ = kNoDeadline;
    mutex_.Unlock();
    const MonotonicTime found = Scan();
    mutex_.Lock();
    next_ = std::min(next_.load(), found);
  }
}

MonotonicTime DeadlineKeeper::Scan() {
  MonotonicTime next = kNoDeadline;
  pool_.ForEach([&](BatchState& batch) {
    if (batch.finished()) return;
    const MonotonicTime now = RealClock().Now();
    if (!batch.aborted() && batch.deadline() > now) {
      next = std::min(next, batch.deadline());
      return;
    }
    batch.Abort(batch.DeadlineError());
    next = std::min(next, DeadlineAfter(now, kInsistence));
  });
  return next;
}

}  // namespace te
