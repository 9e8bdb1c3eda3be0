#include "te/metadata/segment_directory.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"

namespace te {
namespace {

// Shares the snapshot.
std::shared_ptr<const SegmentDescriptor> DescriptorOf(
    std::shared_ptr<const SegmentSnapshot> snapshot) {
  const SegmentDescriptor* descriptor = &snapshot->descriptor;
  return {std::move(snapshot), descriptor};
}

}  // namespace

SegmentDirectory::SegmentDirectory(SegmentResolver& resolver,
                                   SegmentDirectoryOptions options)
    : resolver_(resolver), options_(std::move(options)) {
  CHECK_GT(options_.max_idle, 0u);
}

SegmentDirectory::~SegmentDirectory() { EndWatches(); }

void SegmentDirectory::EndWatches() {
  // They end without the lock, which their callbacks take.
  absl::flat_hash_map<std::string, Entry> entries;
  MutexLock lock(mutex_);
  ended_ = true;
  entries.swap(entries_);
}

absl::StatusOr<std::shared_ptr<const SegmentDescriptor>>
SegmentDirectory::Lookup(absl::string_view name, MonotonicTime deadline) {
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(name);
    if (found != entries_.end() && found->second.current) {
      found->second.used = ++uses_;
      return DescriptorOf(found->second.known);
    }
  }
  return Refresh(name, deadline);
}

absl::StatusOr<std::shared_ptr<const SegmentDescriptor>>
SegmentDirectory::Refresh(absl::string_view name, MonotonicTime deadline) {
  std::shared_ptr<const SegmentSnapshot> known;
  bool watched = false;
  uint64_t events = 0;
  uint64_t begin = 0;
  {
    MutexLock lock(mutex_);
    begin = ++uses_;
    const auto found = entries_.find(name);
    if (found != entries_.end()) {
      known = found->second.known;
      watched = found->second.watched;
      events = found->second.events;
    }
  }
  absl::StatusOr<SegmentSnapshot> read =
      resolver_.Lookup(name, known.get(), deadline);
  if (!read.ok()) {
    if (absl::IsNotFound(read.status())) Distrust(name);
    return read.status();
  }
  auto snapshot = std::make_shared<const SegmentSnapshot>(*std::move(read));
  bool is_new = false;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(name);
    is_new = found == entries_.end();
    if (!is_new) {
      Entry& entry = found->second;
      entry.used = ++uses_;
      // Otherwise a look-up that began after ours knows better.
      if (entry.read < begin) {
        entry.read = begin;
        entry.known = snapshot;
        entry.current = watched && entry.watched && entry.events == events;
      }
    }
  }
  if (is_new) Keep(name, snapshot);
  return DescriptorOf(std::move(snapshot));
}

void SegmentDirectory::Distrust(absl::string_view name) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second.current = false;
}

void SegmentDirectory::Keep(absl::string_view name,
                            std::shared_ptr<const SegmentSnapshot> snapshot) {
  const std::string key(name);
  std::unique_ptr<StoreWatch> evicted;
  {
    MutexLock lock(mutex_);
    if (ended_ || entries_.contains(key)) return;
    evicted = EvictIdle();
    entries_[key] = {.known = std::move(snapshot), .used = ++uses_};
  }
  absl::StatusOr<std::unique_ptr<StoreWatch>> watch = resolver_.Watch(
      name, [this, key](const WatchEvent& event) { OnEvent(key, event); });
  MutexLock lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;  // EndWatches came in between
  found->second.beginning = false;
  if (watch.ok()) {
    found->second.watch = *std::move(watch);
    return;
  }
  if (absl::IsUnimplemented(watch.status())) return;
  // The next look-up tries again.
  entries_.erase(found);
  Complain(watch.status());
}

void SegmentDirectory::Complain(const absl::Status& why) {
  if (complained_) return;
  complained_ = true;
  LOG(WARNING)
      << "changes of segments are not told, so they are looked up each "
         "time, and new buffers of open ones are seen only by "
         "RefreshSegment: "
      << why;
}

std::unique_ptr<StoreWatch> SegmentDirectory::EvictIdle() {
  // Linear, but only once per look-up that went over the network.
  if (entries_.size() < options_.max_idle) return nullptr;
  size_t idle = 0;
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->second.beginning ||
        (options_.in_use && options_.in_use(entry->first))) {
      continue;
    }
    ++idle;
    if (oldest == entries_.end() || entry->second.used < oldest->second.used) {
      oldest = entry;
    }
  }
  if (idle < options_.max_idle) return nullptr;
  std::unique_ptr<StoreWatch> watch = std::move(oldest->second.watch);
  entries_.erase(oldest);
  return watch;
}

void SegmentDirectory::OnEvent(const std::string& name,
                               const WatchEvent& event) {
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (event.kind == WatchEvent::Kind::kChanged &&
        event.version != MetadataStore::kAbsent &&
        event.version <= entry.known->revision) {
      return;  // read already
    }
    ++entry.events;
    entry.current = false;
    if (event.kind != WatchEvent::Kind::kChanged) {
      entry.watched = event.kind == WatchEvent::Kind::kBegun;
      if (entry.watched) complained_ = false;
    }
    // A store that is away, or whose connection was renewed, needs no word
    // here.
    if (event.kind == WatchEvent::Kind::kBroken &&
        !absl::IsUnavailable(event.status) &&
        !absl::IsDeadlineExceeded(event.status)) {
      Complain(event.status);
    }
  }
  if (options_.on_change && event.kind != WatchEvent::Kind::kBroken) {
    options_.on_change(name);
  }
}

size_t SegmentDirectory::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace te
