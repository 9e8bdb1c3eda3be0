#include "te/metadata/segment_directory.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"

namespace te {

SegmentDirectory::SegmentDirectory(SegmentResolver& resolver,
                                   const SegmentDirectoryOptions& options,
                                   const Clock& clock)
    : resolver_(resolver), options_(options), clock_(clock) {
  CHECK_GT(options_.max_entries, 0u);
}

absl::StatusOr<std::shared_ptr<const SegmentDescriptor>>
SegmentDirectory::Lookup(absl::string_view name, MonotonicTime deadline) {
  if (auto cached = Cached(name); cached != nullptr) return cached;
  const MonotonicTime asked = clock_.Now();
  TE_ASSIGN_OR_RETURN(SegmentDescriptor found,
                      resolver_.Lookup(name, deadline));
  auto descriptor = std::make_shared<const SegmentDescriptor>(std::move(found));
  if (options_.max_age == Duration::zero()) return descriptor;
  MutexLock lock(mutex_);
  auto entry = entries_.find(name);
  if (entry == entries_.end()) {
    if (entries_.size() >= options_.max_entries) EvictOldest();
    entries_.emplace(std::string(name), Entry{descriptor, asked});
  } else if (entry->second.asked <= asked) {
    // Otherwise a lookup that began after ours knows better.
    entry->second = {descriptor, asked};
  }
  return descriptor;
}

std::shared_ptr<const SegmentDescriptor> SegmentDirectory::Cached(
    absl::string_view name) {
  MutexLock lock(mutex_);
  auto entry = entries_.find(name);
  if (entry == entries_.end() ||
      clock_.Now() - entry->second.asked > options_.max_age) {
    return nullptr;
  }
  return entry->second.descriptor;
}

void SegmentDirectory::EvictOldest() {
  // Linear, but only once per lookup that went over the network.
  entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                  [](const auto& a, const auto& b) {
                                    return a.second.asked < b.second.asked;
                                  }));
}

void SegmentDirectory::Invalidate(absl::string_view name,
                                  const SegmentDescriptor& seen) {
  MutexLock lock(mutex_);
  auto entry = entries_.find(name);
  if (entry == entries_.end()) return;
  const SegmentDescriptor& cached = *entry->second.descriptor;
  if (cached.incarnation == seen.incarnation &&
      cached.version <= seen.version) {
    entries_.erase(entry);
  }
}

}  // namespace te
