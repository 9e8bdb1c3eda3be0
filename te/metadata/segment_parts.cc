#include "te/metadata/segment_parts.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using Get = absl::FunctionRef<absl::StatusOr<StoredValue>(const GetOptions&)>;

constexpr uint32_t kFirstPage = 1;
static_assert(kFirstPage + BufferTable::kMaxPages <= MetadataStore::kMaxParts);
static_assert(SegmentDescriptor::kMaxHeadBytes <=
              MetadataStore::kMaxValueBytes);

// How often a reading begins anew because what came does not go together.
constexpr int kMaxAttempts = 4;

// A segment while its parts come in.
class Assembly {
 public:
  explicit Assembly(const SegmentSnapshot* known) {
    if (known != nullptr) descriptor_ = known->descriptor;
  }

  // ABORTED: what is there now does not go together with what was known, or
  // with the parts that came first.
  absl::Status Add(StoredValue value) {
    if (!whole_.has_value()) {
      whole_ = value.whole;
      revision_ = value.version;
      if (value.whole) descriptor_.reset();
    } else if (value.whole != *whole_) {
      return absl::AbortedError("the segment was published anew meanwhile");
    }
    for (const ValuePart& part : value.parts) {
      TE_RETURN_IF_ERROR(Add(part));
    }
    if (descriptor_.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError("segment descriptor: there is no head");
  }

  // When all parts have come.
  absl::StatusOr<SegmentSnapshot> Take() {
    if (descriptor_->buffers.filled_pages() < pages_) {
      return absl::AbortedError(
          "the segment is being published, and is not all there yet");
    }
    return SegmentSnapshot{.descriptor = *std::move(descriptor_),
                           .revision = revision_};
  }

 private:
  absl::Status Add(const ValuePart& part) {
    if (part.number == 0) return SetHead(part);
    if (!descriptor_.has_value()) return absl::OkStatus();  // Add says it all
    const size_t number = part.number - kFirstPage;
    if (number >= BufferTable::kMaxPages) {
      return absl::InvalidArgumentError(absl::StrCat(
          "segment descriptor: part ", part.number, " is no page of buffers"));
    }
    TE_ASSIGN_OR_RETURN(
        BufferTable::SharedPage page,
        SegmentDescriptor::ParsePage(part.bytes, descriptor_->incarnation));
    descriptor_->buffers.SetPage(number, std::move(page));
    return absl::OkStatus();
  }

  absl::Status SetHead(const ValuePart& part) {
    TE_ASSIGN_OR_RETURN(SegmentDescriptor head,
                        SegmentDescriptor::ParseHead(part.bytes, &pages_));
    if (descriptor_.has_value()) {
      if (head.incarnation != descriptor_->incarnation) {
        return absl::AbortedError("another incarnation has taken the name");
      }
      head.buffers = std::move(descriptor_->buffers);
    }
    descriptor_ = std::move(head);
    return absl::OkStatus();
  }

  std::optional<SegmentDescriptor> descriptor_;
  std::optional<bool> whole_;
  uint64_t revision_ = 0;
  // As the head says. What is known has them all.
  size_t pages_ = 0;
};

absl::StatusOr<SegmentSnapshot> ReadOnce(Get get,
                                         const SegmentSnapshot* known) {
  Assembly assembly(known);
  GetOptions options = {.since = known == nullptr ? 0 : known->revision};
  do {
    TE_ASSIGN_OR_RETURN(StoredValue value, get(options));
    if (value.next_part != 0 && (value.next_part <= options.first_part ||
                                 value.next_part >= MetadataStore::kMaxParts)) {
      return absl::InvalidArgumentError(
          absl::StrCat("segment descriptor: part ", value.next_part,
                       " cannot follow part ", options.first_part));
    }
    options.first_part = value.next_part;
    TE_RETURN_IF_ERROR(assembly.Add(std::move(value)));
  } while (options.first_part != 0);
  return assembly.Take();
}

}  // namespace

absl::StatusOr<SegmentSnapshot> ReadSegment(Get get,
                                            const SegmentSnapshot* known) {
  absl::StatusOr<SegmentSnapshot> snapshot = ReadOnce(get, known);
  for (int i = 1; i < kMaxAttempts && absl::IsAborted(snapshot.status()); ++i) {
    snapshot = ReadOnce(get, nullptr);
  }
  return snapshot;
}

absl::StatusOr<StoredValue> GetFromSegment(const VersionedSegment& segment,
                                           const GetOptions& options) {
  const SegmentDescriptor& descriptor = segment.descriptor;
  StoredValue value = {.version = segment.version,
                       .whole = options.since < segment.first_version ||
                                options.since > segment.version};
  size_t bytes = 0;
  if (options.first_part == 0) {
    TE_ASSIGN_OR_RETURN(std::string head, descriptor.SerializeHead());
    bytes = head.size();
    value.parts.push_back({.number = 0, .bytes = std::move(head)});
  }
  const std::vector<uint64_t>& versions = segment.page_versions;
  const size_t pages =
      std::max(descriptor.buffers.page_count(), versions.size());
  for (size_t number = std::max(options.first_part, kFirstPage) - kFirstPage;
       number < pages; ++number) {
    const bool changed =
        number >= versions.size() || versions[number] > options.since;
    if (value.whole ? descriptor.buffers.page(number) == nullptr : !changed) {
      continue;
    }
    TE_ASSIGN_OR_RETURN(std::string page, descriptor.SerializePage(number));
    bytes += page.size();
    const auto part = static_cast<uint32_t>(kFirstPage + number);
    if (bytes > options.max_bytes && !value.parts.empty()) {
      value.next_part = part;
      break;
    }
    value.parts.push_back({.number = part, .bytes = std::move(page)});
  }
  return value;
}

absl::StatusOr<std::vector<ValuePart>> SegmentParts(
    const SegmentDescriptor& descriptor, absl::FunctionRef<bool(size_t)> wanted,
    size_t page_count) {
  std::vector<ValuePart> parts;
  TE_ASSIGN_OR_RETURN(std::string head, descriptor.SerializeHead());
  parts.push_back({.number = 0, .bytes = std::move(head)});
  for (size_t number = 0; number < page_count; ++number) {
    if (!wanted(number)) continue;
    TE_ASSIGN_OR_RETURN(std::string page, descriptor.SerializePage(number));
    parts.push_back({.number = static_cast<uint32_t>(kFirstPage + number),
                     .bytes = std::move(page)});
  }
  return parts;
}

}  // namespace te
