#ifndef TE_CORE_SEGMENT_VIEW_H_
#define TE_CORE_SEGMENT_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/slice.h"

namespace te {

// Whether a buffer contains the range, and allows the operation.
inline bool Allows(const BufferDescriptor& buffer, Operation operation,
                   uint64_t address, uint64_t length) {
  return (operation == Operation::kRead ? buffer.remote_read
                                        : buffer.remote_write) &&
         address >= buffer.address && length <= buffer.length &&
         address - buffer.address <= buffer.length - length;
}

// A remote segment as it was when it was looked up. Immutable.
class SegmentView {
 public:
  // `before`, if not null, is a view of the same segment at another time: what
  // has not changed is taken from there, without being sorted again.
  explicit SegmentView(std::shared_ptr<const SegmentDescriptor> descriptor,
                       const SegmentView* before = nullptr);
  SegmentView(const SegmentView&) = delete;
  SegmentView& operator=(const SegmentView&) = delete;

  const std::shared_ptr<const SegmentDescriptor>& descriptor() const {
    return descriptor_;
  }

  // The buffer that such a request goes to, in a page of the descriptor.
  // kPermissionDenied: there is one, but it does not allow the operation;
  // kOutOfRange: there is none that contains the whole range.
  absl::StatusOr<const BufferDescriptor*> Find(
      Operation operation, uint64_t address,
      uint64_t length) const ABSL_ATTRIBUTE_LIFETIME_BOUND;

 private:
  struct Range {
    uint64_t begin;
    uint64_t length;
    // In a page of the descriptor, and the number of the page.
    const BufferDescriptor* buffer;
    size_t page;
  };

  const BufferDescriptor* FindBuffer(
      uint64_t address, uint64_t length,
      absl::FunctionRef<bool(const BufferDescriptor&)> matches) const;

  const std::shared_ptr<const SegmentDescriptor> descriptor_;
  // By begin.
  std::vector<Range> ranges_;
  // Of all ranges: bounds how far FindBuffer looks back.
  uint64_t longest_ = 0;
};

}  // namespace te

#endif  // TE_CORE_SEGMENT_VIEW_H_
