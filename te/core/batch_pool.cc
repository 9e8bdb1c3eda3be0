#include "te/core/batch_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace te {

BatchPool::BatchPool(size_t max_batches, size_t max_slices,
                     std::function<void(BatchState&)> send_notification)
    : max_slices_(max_slices),
      kept_slices_(std::max<size_t>(max_slices / max_batches, 1)),
      send_notification_(std::move(send_notification)),
      slab_(max_batches) {}

absl::StatusOr<BatchState*> BatchPool::Acquire(size_t requests,
                                               uint32_t max_slice_attempts,
                                               MonotonicTime deadline) {
  const auto acquired = slab_.Acquire();
  if (!acquired) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "all ", slab_.capacity(),
        " batches are in use; drop the handles of finished ones, wait, or "
        "raise max_batches"));
  }
  acquired->object->Reset(*this, acquired->handle.Pack(), requests,
                          max_slice_attempts, deadline);
  return acquired->object;
}

absl::Status BatchPool::ReserveSlices(BatchState& batch, size_t count) {
  // Never more than there are, not even for a moment: another batch that does
  // fit would be refused.
  size_t before = slices_;
  do {
    if (count > max_slices_ - before) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the batch needs ", count, " slices, and ", before, " of ",
          max_slices_,
          " are in use; wait for other batches, or raise max_slices or "
          "slice_bytes"));
    }
  } while (!slices_.compare_exchange_weak(before, before + count));
  batch.ReserveSlices(count);
  return absl::OkStatus();
}

void BatchPool::ForEach(absl::FunctionRef<void(BatchState&)> function) {
  for (size_t i = 0; i < slab_.capacity(); ++i) {
    BatchState& batch = slab_.at(i);
    if (!batch.TryRef()) continue;
    function(batch);
    batch.Unref();
  }
}

void BatchPool::SendNotification(BatchState& batch) {
  send_notification_(batch);
}

void BatchPool::Recycle(BatchState& batch) {
  slices_ -= batch.slice_count();
  slab_.Release(SlabHandle::Unpack(batch.Vacate(kept_slices_)));
}

}  // namespace te
