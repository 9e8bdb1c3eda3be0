#ifndef TE_CORE_NOTIFICATION_OUTBOX_H_
#define TE_CORE_NOTIFICATION_OUTBOX_H_

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/task_queue.h"
#include "te/core/batch_state.h"

namespace te {

// Delivers the notifications of batches, each until the batch's deadline. Those
// for one engine go one after the other: an engine that does not answer holds
// one thread, and a receiver recognises a repeat by the last number alone.
// Thread-safe.
//
// A batch is here at most once, which bounds what waits.
class NotificationOutbox {
 public:
  // `threads` at least 1: so many engines may be silent at the same time
  // without delaying others. `call_timeout` is that of one attempt.
  static absl::StatusOr<std::unique_ptr<NotificationOutbox>> Create(
      int threads, Duration call_timeout);
  ~NotificationOutbox() { Close(); }

  // See BatchState::Host.
  void Send(BatchState& batch);

  // Waits for the calls under way, and ends everything else, also what is sent
  // later, with CANCELLED.
  void Close();

 private:
  // For one engine; the first is being sent.
  using Lane = std::deque<BatchState*>;

  explicit NotificationOutbox(Duration call_timeout)
      : call_timeout_(call_timeout) {}

  void Try(BatchState& batch, uint64_t sequence, int failures);
  bool TryLater(BatchState& batch, uint64_t sequence, int failures);
  void Advance(const Incarnation& target);
  void ScheduleFirst(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropEnded(const Incarnation& target);

  const Duration call_timeout_;
  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  // None is empty.
  absl::flat_hash_map<Incarnation, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  // Used under mutex_ until closed_.
  std::unique_ptr<TaskQueue> tasks_;
};

}  // namespace te

#endif  // TE_CORE_NOTIFICATION_OUTBOX_H_
