#ifndef TE_CORE_SEGMENT_VIEW_H_
#define TE_CORE_SEGMENT_VIEW_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "te/core/range_map.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/slice.h"

namespace te {

// A remote segment as it was when it was looked up. Immutable.
class SegmentView {
 public:
  explicit SegmentView(std::shared_ptr<const SegmentDescriptor> descriptor);
  SegmentView(const SegmentView&) = delete;
  SegmentView& operator=(const SegmentView&) = delete;

  const std::shared_ptr<const SegmentDescriptor>& descriptor() const {
    return descriptor_;
  }

  // The generation of the buffer that such a request goes to.
  // kPermissionDenied: there is one, but it does not allow the operation;
  // kOutOfRange: there is none that contains the whole range.
  absl::StatusOr<uint64_t> Find(Operation operation, uint64_t address,
                                uint64_t length) const;

 private:
  const std::shared_ptr<const SegmentDescriptor> descriptor_;
  RangeMap<const BufferDescriptor*> by_address_;
};

}  // namespace te

#endif  // TE_CORE_SEGMENT_VIEW_H_
