#ifndef TE_CORE_DEADLINE_KEEPER_H_
#define TE_CORE_DEADLINE_KEEPER_H_

#include <atomic>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/core/batch_pool.h"

namespace te {

// A thread that ends the batches whose deadline has passed, and those that were
// aborted, until they are finished. It sleeps until the next deadline that it
// knows of, so that batches which finish in time never wake it. Thread-safe.
class DeadlineKeeper {
 public:
  // `pool` outlives the keeper.
  static absl::StatusOr<std::unique_ptr<DeadlineKeeper>> Create(
      BatchPool& pool);
  // Every batch must be finished.
  ~DeadlineKeeper();

  // There is a launched batch with this deadline; "now" for an aborted one.
  void Notice(MonotonicTime deadline);

 private:
  explicit DeadlineKeeper(BatchPool& pool) : pool_(pool) {}

  void Run();
  // Returns when to look again.
  MonotonicTime Scan();

  BatchPool& pool_;
  // When the thread will look next; changed under mutex_, read without.
  std::atomic<MonotonicTime> next_{kNoDeadline};
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace te

#endif  // TE_CORE_DEADLINE_KEEPER_H_
