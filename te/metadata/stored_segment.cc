#include "te/metadata/stored_segment.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"

namespace te {
namespace {

// What was read under a name, with what is wrong with it for people.
absl::StatusOr<SegmentSnapshot> Check(absl::string_view name,
                                      absl::StatusOr<SegmentSnapshot> read) {
  if (absl::IsInvalidArgument(read.status())) {
    return absl::DataLossError(absl::StrCat(
        DescribeKey(SegmentKey(name)), " holds no segment descriptor: ",
        read.status().message(), "; remove the key if nothing else uses it"));
  }
  // A descriptor of a newer format; the store's own errors name the key
  // already.
  const std::string key = DescribeKey(SegmentKey(name));
  if (absl::IsUnimplemented(read.status()) &&
      !absl::StrContains(read.status().message(), key)) {
    return absl::UnimplementedError(
        absl::StrCat(key, ": ", read.status().message()));
  }
  if (read.ok() && read->descriptor.name != name) {
    return absl::DataLossError(
        absl::StrCat(DescribeKey(SegmentKey(name)),
                     " holds the descriptor of another segment, '",
                     read->descriptor.name, "'; remove the key"));
  }
  return read;
}

absl::StatusOr<SegmentSnapshot> ParseHead(const StoredValue& value) {
  // Without part 0 there is no head, which is what ParseHead says of no bytes.
  const bool has_head = !value.parts.empty() && value.parts[0].number == 0;
  TE_ASSIGN_OR_RETURN(
      SegmentDescriptor head,
      SegmentDescriptor::ParseHead(has_head ? value.parts[0].bytes : ""));
  return SegmentSnapshot{std::move(head), value.version};
}

// Ends with the first part.
constexpr GetOptions kHeadOnly = {.max_bytes = 0};

}  // namespace

std::string SegmentKey(absl::string_view name) {
  return absl::StrCat(kSegmentKeyPrefix, name);
}

absl::StatusOr<SegmentSnapshot> ReadStoredSegment(MetadataStore& store,
                                                  absl::string_view name,
                                                  const SegmentSnapshot* known,
                                                  MonotonicTime deadline) {
  const std::string key = SegmentKey(name);
  return Check(name, ReadSegment(
                         [&](const GetOptions& options) {
                           return store.Get(key, options, deadline);
                         },
                         known));
}

absl::StatusOr<SegmentSnapshot> ReadStoredHead(MetadataStore& store,
                                               absl::string_view name,
                                               MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const StoredValue value,
                      store.Get(SegmentKey(name), kHeadOnly, deadline));
  return Check(name, ParseHead(value));
}

absl::StatusOr<std::vector<ListedSegment>> ListStoredSegments(
    MetadataStore& store, absl::string_view prefix, MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const std::vector<std::string> keys,
                      ListAll(store, SegmentKey(prefix), deadline));
  const auto values = store.GetMany(keys, kHeadOnly, deadline);
  std::vector<ListedSegment> segments;
  segments.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::Status& status = values[i].status();
    if (absl::IsNotFound(status)) continue;  // gone meanwhile
    // Nothing that is wrong with the entry.
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      return status;
    }
    std::string name = keys[i].substr(kSegmentKeyPrefix.size());
    auto head = values[i].ok()
                    ? Check(name, ParseHead(*values[i]))
                    : absl::StatusOr<SegmentSnapshot>(values[i].status());
    segments.push_back({.name = std::move(name), .head = std::move(head)});
  }
  return segments;
}

}  // namespace te
