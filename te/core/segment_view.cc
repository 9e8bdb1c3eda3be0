#include "te/core/segment_view.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace te {

SegmentView::SegmentView(std::shared_ptr<const SegmentDescriptor> descriptor)
    : descriptor_(std::move(descriptor)) {
  for (const BufferDescriptor& buffer : descriptor_->buffers) {
    by_address_.Insert(buffer.address, buffer.length, &buffer);
  }
}

absl::StatusOr<uint64_t> SegmentView::Find(Operation operation,
                                           uint64_t address,
                                           uint64_t length) const {
  const bool read = operation == Operation::kRead;
  const auto* const allowed =
      by_address_.Find(address, length, [&](const BufferDescriptor* buffer) {
        return read ? buffer->remote_read : buffer->remote_write;
      });
  if (allowed != nullptr) return (*allowed)->generation;
  const std::string range =
      absl::StrCat("[0x", absl::Hex(address), ", +", length, ") of segment ",
                   descriptor_->name);
  const bool exists =
      by_address_.Find(address, length,
                       [](const BufferDescriptor*) { return true; }) != nullptr;
  if (exists) {
    return absl::PermissionDeniedError(
        absl::StrCat(range, " is not registered for remote ",
                     read ? "READ" : "WRITE", "; its owner must allow it"));
  }
  return absl::OutOfRangeError(absl::StrCat(
      range, " is not within one of its ", descriptor_->buffers.size(),
      " registered buffers; if it was registered lately, refresh the segment"));
}

}  // namespace te
