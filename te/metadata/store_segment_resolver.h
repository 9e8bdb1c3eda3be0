#ifndef TE_METADATA_STORE_SEGMENT_RESOLVER_H_
#define TE_METADATA_STORE_SEGMENT_RESOLVER_H_

#include <stdint.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"

namespace te {

// Keeps descriptors in a metadata store (stored_segment.h). A name stays taken
// until its incarnation withdraws it, its lease ends, or its process is found
// dead by another one of the same host.
//
// A value that is no descriptor of that name is an error for all calls, and is
// never overwritten, since it may belong to something else.
class StoreSegmentResolver final : public SegmentResolver {
 public:
  // `lease`: of publications; zero for ever.
  explicit StoreSegmentResolver(std::shared_ptr<MetadataStore> store,
                                Duration lease = Duration::zero())
      : store_(std::move(store)), lease_(lease) {}

  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view name,
                                         const SegmentSnapshot* known,
                                         MonotonicTime deadline) override;
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      absl::string_view name, WatchCallback on_event) override;
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override;
  Duration lease() const override { return lease_; }
  absl::Status Renew(absl::string_view name, MonotonicTime deadline) override;
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override;

 private:
  // What this object has put under a name.
  struct Publication {
    SegmentDescriptor descriptor;
    // In the store; kAbsent: it is not known to be there.
    uint64_t store_version = MetadataStore::kAbsent;
    // Calls of Publish that are under way, which begin a lease too.
    int under_way = 0;
  };

  absl::Status NameTaken(const SegmentDescriptor& holder) const;
  // Puts what is not in `before`, or, if that is null, everything; returns the
  // version that the store has then.
  absl::StatusOr<uint64_t> Put(const SegmentDescriptor& descriptor,
                               const SegmentDescriptor* before,
                               uint64_t expected, MonotonicTime deadline);
  // The version in the store that the descriptor may replace; none if a later
  // one is there already.
  absl::StatusOr<std::optional<uint64_t>> Replaceable(
      const SegmentDescriptor& descriptor, MonotonicTime deadline);

  const std::shared_ptr<MetadataStore> store_;
  const Duration lease_;

  Mutex mutex_;
  absl::flat_hash_map<std::string, Publication> published_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_STORE_SEGMENT_RESOLVER_H_
