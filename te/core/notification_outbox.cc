#include "te/core/notification_outbox.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "te/base/status_macros.h"

namespace te {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(10);

Duration PauseAfter(int failures) {
  return kFirstPause * (1 << std::min(failures - 1, 6));
}

bool IsWorthAnotherTry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status);
}

// Lets go of the outbox's reference.
void End(BatchState& batch, absl::Status status) {
  batch.FinishNotification(std::move(status));
  batch.Unref();
}

absl::Status Closing() {
  return absl::CancelledError("the engine is being destroyed");
}

}  // namespace

absl::StatusOr<std::unique_ptr<NotificationOutbox>> NotificationOutbox::Create(
    int threads, Duration call_timeout) {
  std::unique_ptr<NotificationOutbox> outbox(
      new NotificationOutbox(call_timeout));
  TE_ASSIGN_OR_RETURN(outbox->tasks_, TaskQueue::Create("te-notify", threads));
  return outbox;
}

void NotificationOutbox::Send(BatchState& batch) {
  {
    MutexLock lock(mutex_);
    if (!closed_) {
      Lane& lane = lanes_[batch.target()];
      lane.push_back(&batch);
      if (lane.size() == 1) ScheduleFirst(lane);
      return;
    }
  }
  End(batch, Closing());
}

// Numbered only now, so that to each engine the numbers rise.
void NotificationOutbox::ScheduleFirst(Lane& lane) {
  tasks_->Schedule(RealClock().Now(),
                   [this, &batch = *lane.front(), sequence = next_sequence_++] {
                     Try(batch, sequence, 0);
                   });
}

void NotificationOutbox::Try(BatchState& batch, uint64_t sequence,
                             int failures) {
  const Incarnation target = batch.target();
  absl::Status status;
  // Its deadline may have ended it while it waited.
  if (!batch.finished()) {
    status = batch.link().Notify(
        sequence, *batch.notification(),
        std::min(batch.deadline(),
                 DeadlineAfter(RealClock().Now(), call_timeout_)));
  }
  if (IsWorthAnotherTry(status)) {
    DropEnded(target);
    if (TryLater(batch, sequence, failures + 1)) return;
  }
  Advance(target);
  End(batch, std::move(status));
}

bool NotificationOutbox::TryLater(BatchState& batch, uint64_t sequence,
                                  int failures) {
  const MonotonicTime due =
      DeadlineAfter(RealClock().Now(), PauseAfter(failures));
  MutexLock lock(mutex_);
  if (closed_ || due >= batch.deadline()) return false;
  tasks_->Schedule(due, [this, &batch, sequence, failures] {
    Try(batch, sequence, failures);
  });
  return true;
}

void NotificationOutbox::Advance(const Incarnation& target) {
  MutexLock lock(mutex_);
  const auto found = lanes_.find(target);
  found->second.pop_front();
  if (found->second.empty()) {
    lanes_.erase(found);
  } else if (!closed_) {
    ScheduleFirst(found->second);
  }
}

// A batch that was ended by its deadline is not kept for as long as the first
// one is tried.
void NotificationOutbox::DropEnded(const Incarnation& target) {
  Lane ended;
  {
    MutexLock lock(mutex_);
    Lane& lane = lanes_[target];
    const auto kept = std::stable_partition(
        lane.begin() + 1, lane.end(),
        [](const BatchState* batch) { return !batch->finished(); });
    ended.assign(kept, lane.end());
    lane.erase(kept, lane.end());
  }
  for (BatchState* batch : ended) batch->Unref();
}

void NotificationOutbox::Close() {
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  tasks_.reset();
  absl::flat_hash_map<Incarnation, Lane> lanes;
  {
    MutexLock lock(mutex_);
    lanes.swap(lanes_);
  }
  for (const auto& [target, lane] : lanes) {
    for (BatchState* batch : lane) End(*batch, Closing());
  }
}

}  // namespace te
