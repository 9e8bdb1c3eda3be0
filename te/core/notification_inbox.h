#ifndef TE_CORE_NOTIFICATION_INBOX_H_
#define TE_CORE_NOTIFICATION_INBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <set>
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
// sender repeats a notification whose answer it missed; each is kept once.
// Thread-safe.
class NotificationInbox {
 public:
  explicit NotificationInbox(size_t max_notifications);

  // Repeats are accepted and dropped. kResourceExhausted: full.
  absl::Status Put(const Incarnation& sender, uint64_t sequence,
                   ReceivedNotification notification);

  // The oldest one; waits for it until `deadline`.
  std::optional<ReceivedNotification> Take(MonotonicTime deadline);

 private:
  // What has been received from one sender: all up to `floor`, and some beyond,
  // since several may be under way at the same time.
  struct Seen {
    uint64_t floor = 0;
    std::set<uint64_t> beyond;
    std::list<Incarnation>::iterator recency;
  };

  Seen& Remember(const Incarnation& sender)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_notifications_;
  Mutex mutex_;
  CondVar arrived_;
  std::deque<ReceivedNotification> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Incarnation, Seen> senders_ ABSL_GUARDED_BY(mutex_);
  // The sender that was heard of last comes first.
  std::list<Incarnation> recent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_NOTIFICATION_INBOX_H_
