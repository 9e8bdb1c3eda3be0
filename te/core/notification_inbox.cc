#include "te/core/notification_inbox.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace te {
namespace {

// Senders that are remembered; one repeats for as long as its batch lives, and
// so many others do not come in between.
constexpr size_t kMaxSenders = 1024;

}  // namespace

NotificationInbox::NotificationInbox(size_t max_notifications)
    : max_notifications_(max_notifications) {}

absl::Status NotificationInbox::Put(const Incarnation& sender,
                                    uint64_t sequence,
                                    ReceivedNotification notification) {
  if (sequence == 0) {
    return absl::InvalidArgumentError("notifications are numbered from 1");
  }
  MutexLock lock(mutex_);
  const uint64_t last = LastOf(sender);
  if (sequence == last) return absl::OkStatus();
  if (sequence < last) {
    return absl::AbortedError(
        "the sender has given this notification up for a later one");
  }
  if (waiting_.size() >= max_notifications_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(max_notifications_,
                     " notifications wait for the application to take them"));
  }
  Remember(sender, sequence);
  waiting_.push_back(std::move(notification));
  arrived_.NotifyOne();
  return absl::OkStatus();
}

uint64_t NotificationInbox::LastOf(const Incarnation& sender) const {
  const auto found = senders_.find(sender);
  return found == senders_.end() ? 0 : found->second.last;
}

void NotificationInbox::Remember(const Incarnation& sender, uint64_t last) {
  const auto found = senders_.find(sender);
  if (found != senders_.end()) {
    found->second.last = last;
    recent_.splice(recent_.begin(), recent_, found->second.recency);
    return;
  }
  if (senders_.size() == kMaxSenders) {
    senders_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(sender);
  senders_[sender] = {.last = last, .recency = recent_.begin()};
}

std::optional<ReceivedNotification> NotificationInbox::Take(
    MonotonicTime deadline) {
  MutexLock lock(mutex_);
  while (waiting_.empty()) {
    if (!arrived_.WaitUntil(mutex_, deadline) && waiting_.empty()) {
      return std::nullopt;
    }
  }
  ReceivedNotification notification = std::move(waiting_.front());
  waiting_.pop_front();
  return notification;
}

}  // namespace te
