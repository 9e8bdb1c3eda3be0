#include "te/metadata/watch_events.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

using Kind = WatchEvent::Kind;

WatchCallback WatchEvents::callback() {
  return [this](const WatchEvent& event) {
    MutexLock lock(mutex_);
    events_.push_back({.kind = event.kind,
                       .key = std::string(event.key),
                       .version = event.version,
                       .status = event.status});
    told_.NotifyAll();
  };
}

std::optional<WatchEvents::Event> WatchEvents::Await(
    const std::function<bool(const Event&)>& matches) {
  const MonotonicTime deadline = RealClock().Now() + std::chrono::minutes(1);
  MutexLock lock(mutex_);
  for (;;) {
    while (seen_ < events_.size()) {
      const Event& event = events_[seen_++];
      if (matches(event)) return event;
    }
    if (!told_.WaitUntil(mutex_, deadline) && seen_ == events_.size()) {
      return std::nullopt;
    }
  }
}

bool WatchEvents::AwaitBegun() {
  return Await([](const Event& e) { return e.kind == Kind::kBegun; })
      .has_value();
}

bool WatchEvents::AwaitChange(absl::string_view key, uint64_t version) {
  const auto matches = [&](const Event& e) {
    return e.kind == Kind::kChanged && e.key == key && e.version == version;
  };
  return Await(matches).has_value();
}

absl::Status WatchEvents::AwaitBroken() {
  const auto event =
      Await([](const Event& e) { return e.kind == Kind::kBroken; });
  return event.has_value() ? event->status : absl::OkStatus();
}

absl::Status WatchEvents::AwaitBeginning() {
  const auto found =
      Await([](const Event& e) { return e.kind != Kind::kChanged; });
  return found.has_value()
             ? found->status
             : absl::DeadlineExceededError("neither begun nor broken");
}

std::vector<WatchEvents::Event> WatchEvents::events() const {
  MutexLock lock(mutex_);
  return events_;
}

bool WatchEvents::HasChangeOf(absl::string_view key) const {
  MutexLock lock(mutex_);
  return std::any_of(events_.begin(), events_.end(), [&](const Event& event) {
    return event.kind == WatchEvent::Kind::kChanged && event.key == key;
  });
}

size_t WatchEvents::count() const {
  MutexLock lock(mutex_);
  return events_.size();
}

}  // namespace te
