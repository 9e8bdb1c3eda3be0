#ifndef TE_BENCH_MEETING_H_
#define TE_BENCH_MEETING_H_

#include <optional>

#include "te/base/clock.h"
#include "te/base/mutex.h"

namespace te::bench {

// Where a number of threads wait until all of them have come, once.
// Thread-safe.
class Meeting {
 public:
  explicit Meeting(int count) : missing_(count) {}

  // Waits for the others. Returns when the last one came, the same for all.
  MonotonicTime Arrive();
  // In place of one that will not come. Does not wait.
  void Excuse();

  // When the last one came; nothing before that.
  std::optional<MonotonicTime> time() const;

 private:
  void CountOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar complete_;
  int missing_ ABSL_GUARDED_BY(mutex_);
  std::optional<MonotonicTime> time_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::bench

#endif  // TE_BENCH_MEETING_H_
