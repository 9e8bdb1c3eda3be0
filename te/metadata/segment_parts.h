// A segment as the parts of a value (see MetadataStore): part 0 is the head of
// its descriptor, part 1 + k is page k of its buffers. Kept so in metadata
// stores, and told so by engines that are asked for their own segment.

#ifndef TE_METADATA_SEGMENT_PARTS_H_
#define TE_METADATA_SEGMENT_PARTS_H_

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/value_part.h"

namespace te {

// A segment as it was read.
struct SegmentSnapshot {
  SegmentDescriptor descriptor;
  // The version of the value; for GetOptions::since. Not the descriptor's own,
  // which its owner counts.
  uint64_t revision = 0;

  friend bool operator==(const SegmentSnapshot&,
                         const SegmentSnapshot&) = default;
};

// Reads a segment with as many calls of `get` as its size takes; `known`, if
// not null, is what an earlier call returned, and then only what has changed is
// read, and parsed.
//
// What was there when it began and has not changed since is in the result; of
// what changes meanwhile, some may be. All of it is of one incarnation. Errors
// are those of `get` and of SegmentDescriptor's parsers; INVALID_ARGUMENT also
// for parts that make no segment; ABORTED when it changes hands again and again
// meanwhile, or is just being published, and is not all there yet.
absl::StatusOr<SegmentSnapshot> ReadSegment(
    absl::FunctionRef<absl::StatusOr<StoredValue>(const GetOptions&)> get,
    const SegmentSnapshot* known);

// A segment that its owner tells others of.
struct VersionedSegment {
  SegmentDescriptor descriptor;
  // Of its last change, and of that of each page: a count that goes on in the
  // next incarnation (FirstVersion). Pages without a version are as new as the
  // segment.
  uint64_t version = 0;
  std::vector<uint64_t> page_versions;
  // Where the count began: what is older is of another incarnation.
  uint64_t first_version = 0;
};

// What MetadataStore::Get would return if the segment were kept there.
absl::StatusOr<StoredValue> GetFromSegment(const VersionedSegment& segment,
                                           const GetOptions& options);

// The head, and those pages for which `wanted`; empty ones as empty parts.
absl::StatusOr<std::vector<ValuePart>> SegmentParts(
    const SegmentDescriptor& descriptor, absl::FunctionRef<bool(size_t)> wanted,
    size_t page_count);

}  // namespace te

#endif  // TE_METADATA_SEGMENT_PARTS_H_
