#include "te/core/notification_inbox.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace te {
namespace {

// Senders that are remembered; one repeats for as long as its batch lives, and
// so many others do not come in between.
constexpr size_t kMaxSenders = 1024;
// Numbers of one sender that are remembered one by one: far more than it has
// under way at once. The lowest are taken to have arrived, or to be given up.
constexpr size_t kMaxBeyond = 1024;

}  // namespace

NotificationInbox::NotificationInbox(size_t max_notifications)
    : max_notifications_(max_notifications) {}

absl::Status NotificationInbox::Put(const Incarnation& sender,
                                    uint64_t sequence,
                                    ReceivedNotification notification) {
  MutexLock lock(mutex_);
  Seen& seen = Remember(sender);
  if (sequence <= seen.floor || seen.beyond.contains(sequence)) {
    return absl::OkStatus();
  }
  if (waiting_.size() >= max_notifications_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(max_notifications_,
                     " notifications wait for the application to take them"));
  }
  seen.beyond.insert(sequence);
  while (!seen.beyond.empty() && (*seen.beyond.begin() == seen.floor + 1 ||
                                  seen.beyond.size() > kMaxBeyond)) {
    seen.floor = *seen.beyond.begin();
    seen.beyond.erase(seen.beyond.begin());
  }
  waiting_.push_back(std::move(notification));
  arrived_.NotifyOne();
  return absl::OkStatus();
}

NotificationInbox::Seen& NotificationInbox::Remember(
    const Incarnation& sender) {
  const auto found = senders_.find(sender);
  if (found != senders_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second.recency);
    return found->second;
  }
  if (senders_.size() == kMaxSenders) {
    senders_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(sender);
  Seen& seen = senders_[sender];
  seen.recency = recent_.begin();
  return seen;
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
