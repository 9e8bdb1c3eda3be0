#ifndef TE_METADATA_SEGMENT_DIRECTORY_H_
#define TE_METADATA_SEGMENT_DIRECTORY_H_

#include <stddef.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"

namespace te {

struct SegmentDirectoryOptions {
  // How old a cached descriptor may be when Lookup returns it. A peer's new
  // buffers are found after this time at the latest. Zero: none is kept.
  Duration max_age = std::chrono::seconds(1);
  // Cached descriptors; the oldest gives way. At least 1.
  size_t max_entries = 1024;
};

// Where an engine finds the segments of others: a resolver with a small cache
// of what was looked up. Owned by the engine. Thread-safe; no lock is held
// while the resolver works.
class SegmentDirectory {
 public:
  // Both references are borrowed.
  explicit SegmentDirectory(SegmentResolver& resolver,
                            const SegmentDirectoryOptions& options = {},
                            const Clock& clock = RealClock());

  // The descriptor of a segment, at most max_age old. Immutable, so callers may
  // keep it as their snapshot. Errors are the resolver's; they are not cached.
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> Lookup(
      absl::string_view name, MonotonicTime deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Says that `seen`, which Lookup returned for `name`, has turned out stale:
  // the next Lookup asks afresh. Does nothing when the cache has moved on
  // since, so of many threads that notice one restart only the first causes a
  // lookup.
  void Invalidate(absl::string_view name, const SegmentDescriptor& seen)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::shared_ptr<const SegmentDescriptor> descriptor;
    MonotonicTime asked;  // when its lookup began
  };

  std::shared_ptr<const SegmentDescriptor> Cached(absl::string_view name)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void EvictOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SegmentResolver& resolver_;
  const SegmentDirectoryOptions options_;
  const Clock& clock_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_SEGMENT_DIRECTORY_H_
