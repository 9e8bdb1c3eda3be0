#include "te/core/segment_view.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace te {

SegmentView::SegmentView(std::shared_ptr<const SegmentDescriptor> descriptor,
                         const SegmentView* before)
    : descriptor_(std::move(descriptor)) {
  const BufferTable& buffers = descriptor_->buffers;
  const auto is_kept = [&](size_t page) {
    return before != nullptr &&
           buffers.page(page) == before->descriptor_->buffers.page(page);
  };
  const auto by_begin = [](const Range& a, const Range& b) {
    return a.begin < b.begin;
  };
  std::vector<Range> changed;
  for (size_t page = 0; page < buffers.page_count(); ++page) {
    const BufferTable::SharedPage contents = buffers.page(page);
    if (contents == nullptr || is_kept(page)) continue;
    for (const BufferDescriptor& buffer : *contents) {
      changed.push_back({.begin = buffer.address,
                         .length = buffer.length,
                         .buffer = &buffer,
                         .page = page});
    }
  }
  std::sort(changed.begin(), changed.end(), by_begin);
  if (before == nullptr) {
    ranges_ = std::move(changed);
  } else {
    std::vector<Range> kept;
    kept.reserve(before->ranges_.size());
    std::copy_if(before->ranges_.begin(), before->ranges_.end(),
                 std::back_inserter(kept),
                 [&](const Range& range) { return is_kept(range.page); });
    ranges_.reserve(kept.size() + changed.size());
    std::merge(kept.begin(), kept.end(), changed.begin(), changed.end(),
               std::back_inserter(ranges_), by_begin);
  }
  for (const Range& range : ranges_) {
    longest_ = std::max(longest_, range.length);
  }
}

const BufferDescriptor* SegmentView::FindBuffer(
    uint64_t address, uint64_t length,
    absl::FunctionRef<bool(const BufferDescriptor&)> matches) const {
  auto range =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](uint64_t a, const Range& r) { return a < r.begin; });
  while (range != ranges_.begin()) {
    --range;
    const uint64_t offset = address - range->begin;
    // No range that begins earlier can reach so far.
    if (offset >= longest_) return nullptr;
    if (length <= range->length && offset <= range->length - length &&
        matches(*range->buffer)) {
      return range->buffer;
    }
  }
  return nullptr;
}

absl::StatusOr<const BufferDescriptor*> SegmentView::Find(
    Operation operation, uint64_t address, uint64_t length) const {
  const bool read = operation == Operation::kRead;
  const BufferDescriptor* const allowed =
      FindBuffer(address, length, [&](const BufferDescriptor& buffer) {
        return read ? buffer.remote_read : buffer.remote_write;
      });
  if (allowed != nullptr) return allowed;
  const std::string range =
      absl::StrCat("[0x", absl::Hex(address), ", +", length, ") of segment ",
                   descriptor_->name);
  const bool exists = FindBuffer(address, length, [](const BufferDescriptor&) {
                        return true;
                      }) != nullptr;
  if (exists) {
    return absl::PermissionDeniedError(
        absl::StrCat(range, " is not registered for remote ",
                     read ? "READ" : "WRITE", "; its owner must allow it"));
  }
  return absl::OutOfRangeError(absl::StrCat(
      range, " is not within one of its ", ranges_.size(),
      " registered buffers; if it was registered lately, refresh the segment"));
}

}  // namespace te
