#ifndef TE_METADATA_STORE_SEGMENT_RESOLVER_H_
#define TE_METADATA_STORE_SEGMENT_RESOLVER_H_

#include <stdint.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"

namespace te {

// Keeps descriptors in a metadata store, one key per name. A name stays taken
// until its incarnation withdraws it or the store drops the key.
//
// A value that is no descriptor of that name is DATA_LOSS, which names the key;
// it is never overwritten, since it may belong to something else.
class StoreSegmentResolver final : public SegmentResolver {
 public:
  explicit StoreSegmentResolver(std::shared_ptr<MetadataStore> store)
      : store_(std::move(store)) {}

  absl::StatusOr<SegmentDescriptor> Lookup(absl::string_view name,
                                           MonotonicTime deadline) override;
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override;
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override;

 private:
  struct Published {
    SegmentDescriptor descriptor;
    uint64_t store_version;
  };

  absl::StatusOr<Published> Read(absl::string_view name,
                                 MonotonicTime deadline);

  const std::shared_ptr<MetadataStore> store_;
};

}  // namespace te

#endif  // TE_METADATA_STORE_SEGMENT_RESOLVER_H_
