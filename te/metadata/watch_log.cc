#include "te/metadata/watch_log.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

using Kind = WatchEvent::Kind;

WatchCallback WatchLog::callback() {
  return [this](const WatchEvent& event) {
    MutexLock lock(mutex_);
    events_.push_back({.kind = event.kind,
                       .key = std::string(event.key),
                       .version = event.version,
                       .status = event.status});
    told_.NotifyAll();
  };
}

bool WatchLog::AwaitBegun() {
  return Await([](const Event& e) { return e.kind == Kind::kBegun; });
}

bool WatchLog::AwaitChange(const std::string& key, uint64_t version) {
  return Await([&](const Event& e) {
    return e.kind == Kind::kChanged && e.key == key && e.version == version;
  });
}

absl::Status WatchLog::AwaitBroken() {
  absl::Status why;
  Await([&why](const Event& e) {
    if (e.kind == Kind::kBroken) why = e.status;
    return e.kind == Kind::kBroken;
  });
  return why;
}

absl::Status WatchLog::AwaitBeginning() {
  absl::Status why = absl::DeadlineExceededError("neither begun nor broken");
  Await([&why](const Event& e) {
    if (e.kind != Kind::kChanged) why = e.status;
    return e.kind != Kind::kChanged;
  });
  return why;
}

std::vector<WatchLog::Event> WatchLog::events() {
  MutexLock lock(mutex_);
  return events_;
}

bool WatchLog::Await(const std::function<bool(const Event&)>& matches) {
  const MonotonicTime deadline = RealClock().Now() + std::chrono::seconds(60);
  MutexLock lock(mutex_);
  for (;;) {
    while (seen_ < events_.size()) {
      if (matches(events_[seen_++])) return true;
    }
    if (!told_.WaitUntil(mutex_, deadline) && seen_ == events_.size()) {
      return false;
    }
  }
}

}  // namespace te
