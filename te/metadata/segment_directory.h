#ifndef TE_METADATA_SEGMENT_DIRECTORY_H_
#define TE_METADATA_SEGMENT_DIRECTORY_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"

namespace te {

struct SegmentDirectoryOptions {
  // Segments that nobody uses and that are kept and watched all the same; of
  // one more, the one that has not been looked up for longest is forgotten. At
  // least 1.
  size_t max_idle = 256;
  // Whether somebody uses a segment, which is then kept. Must neither block nor
  // call the directory. Empty: nobody does.
  std::function<bool(const std::string& name)> in_use;
  // Told that a segment which was looked up may have changed, or may have
  // changed unheard: the time to Refresh it. Runs on a thread of the
  // resolver's, and must neither block nor call the directory. May be empty.
  std::function<void(const std::string& name)> on_change;
};

// Where an engine finds the segments of others: a resolver, and a cache that
// the resolver's watches keep true. Owned by the engine. Thread-safe; no lock
// is held while the resolver works.
//
// A name is watched from its first look-up on that has found something, also
// while it is not published: its segment may come back. What was read since the
// watch began and has not been reported changed is current, and is returned
// without asking anybody. What is not is asked for again, and then only what
// has changed of it. Resolvers that cannot be watched are asked each time.
class SegmentDirectory {
 public:
  // The resolver is borrowed.
  explicit SegmentDirectory(SegmentResolver& resolver,
                            SegmentDirectoryOptions options = {});
  ~SegmentDirectory();

  // The descriptor of a segment, current as said above. Immutable, so callers
  // may keep it as their snapshot. Errors are the resolver's; they are not
  // cached.
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> Lookup(
      absl::string_view name, MonotonicTime deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The same, but asks in any case.
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> Refresh(
      absl::string_view name, MonotonicTime deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on nothing is watched, nor kept, and on_change is not called.
  void EndWatches() ABSL_LOCKS_EXCLUDED(mutex_);

  // How many segments are kept.
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    // What was read last, for asking what has changed.
    std::shared_ptr<const SegmentSnapshot> known;
    bool current = false;
    // Whether the watch tells of changes now.
    bool watched = false;
    // Grows with each event, so that whoever reads knows whether one came
    // meanwhile.
    uint64_t events = 0;
    // By the directory's count: the last look-up, and the beginning of that
    // which read what is known.
    uint64_t used = 0;
    uint64_t read = 0;
    // A thread is setting up the watch, and nobody else removes the entry.
    bool beginning = true;
    // Null if there cannot be one.
    std::unique_ptr<StoreWatch> watch;
  };

  // Begins to watch a name that has been read, if nobody does so.
  void Keep(absl::string_view name,
            std::shared_ptr<const SegmentSnapshot> snapshot)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // What is known of the name is not to be used without asking.
  void Distrust(absl::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnEvent(const std::string& name, const WatchEvent& event)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes room for one entry more. Returns a watch, to be ended without the
  // lock.
  std::unique_ptr<StoreWatch> EvictIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Logs why segments are looked up each time, once until that has passed.
  void Complain(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SegmentResolver& resolver_;
  const SegmentDirectoryOptions options_;
  mutable Mutex mutex_;
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool complained_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_SEGMENT_DIRECTORY_H_
