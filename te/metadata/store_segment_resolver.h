#ifndef TE_METADATA_STORE_SEGMENT_RESOLVER_H_
#define TE_METADATA_STORE_SEGMENT_RESOLVER_H_

#include <stdint.h>

#include <memory>
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
#include "te/metadata/segment_resolver.h"

namespace te {

// Keeps descriptors in a metadata store, one key per name. A name stays taken
// until its incarnation withdraws it, its lease ends, or its process is found
// dead by another one of the same host.
//
// A value that is no descriptor of that name is DATA_LOSS, which names the key;
// it is never overwritten, since it may belong to something else.
class StoreSegmentResolver final : public SegmentResolver {
 public:
  // `lease`: of publications; zero for ever.
  explicit StoreSegmentResolver(std::shared_ptr<MetadataStore> store,
                                Duration lease = Duration::zero())
      : store_(std::move(store)), lease_(lease) {}

  absl::StatusOr<SegmentDescriptor> Lookup(absl::string_view name,
                                           MonotonicTime deadline) override;
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override;
  Duration lease() const override { return lease_; }
  absl::Status Renew(absl::string_view name, MonotonicTime deadline) override;
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override;

 private:
  struct Published {
    SegmentDescriptor descriptor;
    uint64_t store_version;
  };

  absl::StatusOr<Published> Read(absl::string_view name,
                                 MonotonicTime deadline);
  absl::Status NameTaken(const SegmentDescriptor& holder) const;
  void Remember(absl::string_view name, uint64_t store_version);

  const std::shared_ptr<MetadataStore> store_;
  const Duration lease_;

  Mutex mutex_;
  // Of the names that this object has published: the version in the store.
  absl::flat_hash_map<std::string, uint64_t> published_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_STORE_SEGMENT_RESOLVER_H_
