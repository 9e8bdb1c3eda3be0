// How segments stand in a metadata store: one key for each, "te/segment/NAME",
// whose value has the parts of te/metadata/segment_parts.h.
//
// A value that is no descriptor of that name is DATA_LOSS, which names the key,
// and UNIMPLEMENTED if its format is a newer one.

#ifndef TE_METADATA_STORED_SEGMENT_H_
#define TE_METADATA_STORED_SEGMENT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_parts.h"

namespace te {

// What stands before the name.
inline constexpr absl::string_view kSegmentKeyPrefix = "te/segment/";

std::string SegmentKey(absl::string_view name);

// The segment as it is now; see ReadSegment for `known`. NOT_FOUND: it is not
// there.
absl::StatusOr<SegmentSnapshot> ReadStoredSegment(MetadataStore& store,
                                                  absl::string_view name,
                                                  const SegmentSnapshot* known,
                                                  MonotonicTime deadline);
// The same without its buffers.
absl::StatusOr<SegmentSnapshot> ReadStoredHead(MetadataStore& store,
                                               absl::string_view name,
                                               MonotonicTime deadline);

struct ListedSegment {
  std::string name;
  // Without the buffers, or what is wrong with what stands there.
  absl::StatusOr<SegmentSnapshot> head;
};

// The segments whose names begin with `prefix`, which may be empty, sorted.
// Those that come or go meanwhile may be among them or not.
absl::StatusOr<std::vector<ListedSegment>> ListStoredSegments(
    MetadataStore& store, absl::string_view prefix, MonotonicTime deadline);

}  // namespace te

#endif  // TE_METADATA_STORED_SEGMENT_H_
