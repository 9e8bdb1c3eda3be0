#ifndef TE_CORE_NOTIFICATION_INBOX_H_
#define TE_CORE_NOTIFICATION_INBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/core/request.h"

namespace te {

struct ReceivedNotification {
  // The name of the segment that it came from.
  std::string sender;
  Notification notification;
};

// What peers have notified this engine of, until the application takes it. A
// sender repeats a notification whose answer it missed; each is kept once. Its
// numbers rise, and it begins the next when it is done with the last.
// Thread-safe.
class NotificationInbox {
 public:
  explicit NotificationInbox(size_t max_notifications);

  // OK: the notification will be taken, or has been. kResourceExhausted: full.
  // kAborted: late, since the sender has begun a later one; whether this one
  // was kept is not known.
  absl::Status Put(const Incarnation& sender, uint64_t sequence,
                   ReceivedNotification notification);

  // The oldest one; waits for it until `deadline`.
  std::optional<ReceivedNotification> Take(MonotonicTime deadline);

 private:
  struct Sender {
    // The number of the last notification that was kept. No other can still be
    // repeated: a sender has one under way at a time.
    uint64_t last = 0;
    std::list<Incarnation>::iterator recency;
  };

  // 0: none.
  uint64_t LastOf(const Incarnation& sender) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remember(const Incarnation& sender, uint64_t last)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_notifications_;
  Mutex mutex_;
  CondVar arrived_;
  std::deque<ReceivedNotification> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Incarnation, Sender> senders_ ABSL_GUARDED_BY(mutex_);
  // The sender that was heard of last comes first.
  std::list<Incarnation> recent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_NOTIFICATION_INBOX_H_
