#include "te/tools/segment_watcher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"

namespace te::tools {
namespace {

// Changed names that are remembered one by one; more are "look at all".
constexpr size_t kMaxChanged = 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentWatcher>> SegmentWatcher::Create(
    MetadataStore& store, const std::string& prefix, Duration call_time,
    OnEvent on_event) {
  UniqueFd news(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!news.valid()) return ErrnoToStatus(errno, "eventfd");
  std::unique_ptr<SegmentWatcher> watcher(new SegmentWatcher(
      store, prefix, call_time, std::move(on_event), std::move(news)));
  TE_ASSIGN_OR_RETURN(
      watcher->watch_,
      store.Watch({.key = SegmentKey(prefix), .prefix = true},
                  [w = watcher.get()](const WatchEvent& e) { w->OnNews(e); }));
  return watcher;
}

SegmentWatcher::SegmentWatcher(MetadataStore& store, const std::string& prefix,
                               Duration call_time, OnEvent on_event,
                               UniqueFd news_fd)
    : store_(store),
      prefix_(prefix),
      call_time_(call_time),
      on_event_(std::move(on_event)),
      news_fd_(std::move(news_fd)) {}

MonotonicTime SegmentWatcher::Deadline() const {
  return DeadlineAfter(RealClock().Now(), call_time_);
}

void SegmentWatcher::OnNews(const WatchEvent& event) {
  {
    MutexLock lock(mutex_);
    broken_ = event.status;
    if (event.kind == WatchEvent::Kind::kChanged) {
      changed_.emplace(event.key.substr(kSegmentKeyPrefix.size()));
    }
    if (event.kind == WatchEvent::Kind::kBegun ||
        changed_.size() > kMaxChanged) {
      changed_.clear();
      look_at_all_ = true;
    }
  }
  // The counter cannot overflow before somebody reads it.
  eventfd_write(news_fd_.get(), 1);
}

absl::Status SegmentWatcher::Look(bool at_all) {
  std::set<std::string> changed;
  absl::Status broken;
  {
    MutexLock lock(mutex_);
    eventfd_t count = 0;
    eventfd_read(news_fd_.get(), &count);
    changed.swap(changed_);
    at_all |= std::exchange(look_at_all_, false);
    broken = broken_;
  }
  const absl::Status looked = at_all ? LookAtAll() : LookAt(changed);
  if (looked.ok()) return broken;
  // What was not seen is still to be looked at, when there is other news.
  MutexLock lock(mutex_);
  look_at_all_ = true;
  return looked;
}

absl::Status SegmentWatcher::LookAt(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    const auto head = ReadStoredHead(store_, name, Deadline());
    if (absl::IsUnavailable(head.status()) ||
        absl::IsDeadlineExceeded(head.status())) {
      return head.status();
    }
    Tell(name, head);
  }
  return absl::OkStatus();
}

absl::Status SegmentWatcher::LookAtAll() {
  TE_ASSIGN_OR_RETURN(const std::vector<ListedSegment> segments,
                      ListStoredSegments(store_, prefix_, Deadline()));
  std::set<std::string> gone;
  for (const auto& [name, revision] : told_) gone.insert(name);
  for (const ListedSegment& segment : segments) {
    gone.erase(segment.name);
    Tell(segment.name, segment.head);
  }
  for (const std::string& name : gone) {
    Tell(name, absl::NotFoundError("it is not listed any more"));
  }
  return absl::OkStatus();
}

void SegmentWatcher::Tell(const std::string& name,
                          const absl::StatusOr<SegmentSnapshot>& segment) {
  const auto known = told_.find(name);
  if (absl::IsNotFound(segment.status())) {
    if (known == told_.end()) return;
    told_.erase(known);
    return on_event_("gone", name, segment);
  }
  const uint64_t revision = segment.ok() ? segment->revision : 0;
  if (known != told_.end() && known->second == revision) return;
  const bool is_new = known == told_.end();
  told_[name] = revision;
  on_event_(segment.ok() ? (is_new ? "new" : "changed") : "wrong", name,
            segment);
}

}  // namespace te::tools
