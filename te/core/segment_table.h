#ifndef TE_CORE_SEGMENT_TABLE_H_
#define TE_CORE_SEGMENT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/mutex.h"
#include "te/core/peer.h"
#include "te/core/rail_history.h"
#include "te/core/request.h"

namespace te {

// The open segments of an engine. One entry per name, counted by its users.
// Thread-safe; no method blocks.
class SegmentTable {
 public:
  explicit SegmentTable(size_t max_segments) : max_segments_(max_segments) {}

  struct Entry {
    SegmentId id;
    std::shared_ptr<Peer> peer;
  };

  // One more user for the segment; the first makes its peer. kResourceExhausted
  // at the limit.
  absl::StatusOr<Entry> Acquire(absl::string_view name,
                                const PeerServices& services);
  // One user less; returns the peer, for closing, if that was the last.
  absl::StatusOr<std::shared_ptr<Peer>> Release(SegmentId id);

  // kNotFound: not open (any more).
  absl::StatusOr<std::shared_ptr<Peer>> Find(SegmentId id) const;
  // Null: not open.
  std::shared_ptr<Peer> Find(absl::string_view name) const;
  std::vector<std::shared_ptr<Peer>> All() const;

 private:
  struct Segment {
    std::shared_ptr<Peer> peer;
    size_t users = 0;
  };

  std::shared_ptr<RailHistory> TakeRails(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_segments_;
  mutable Mutex mutex_;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, Segment> segments_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> ids_ ABSL_GUARDED_BY(mutex_);
  // Of segments that were closed: whoever opens one again continues its rails,
  // so that bytes of the earlier ones cannot come late. Bounded by
  // max_segments.
  absl::flat_hash_map<std::string, std::shared_ptr<RailHistory>> rails_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_SEGMENT_TABLE_H_
