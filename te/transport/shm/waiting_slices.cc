#include "te/transport/shm/waiting_slices.h"

#include <utility>

namespace te::shm {

void WaitingSlices::Append(SliceList slices) {
  MutexLock lock(mutex_);
  slices_.Append(std::move(slices));
  empty_ = slices_.empty();
}

SliceList WaitingSlices::TakeSome(uint64_t most_bytes) {
  SliceList some;
  uint64_t bytes = 0;
  MutexLock lock(mutex_);
  while (!slices_.empty() &&
         (some.empty() || bytes + slices_.front()->length <= most_bytes)) {
    bytes += slices_.front()->length;
    some.PushBack(slices_.PopFront());
  }
  empty_ = slices_.empty();
  return some;
}

SliceList WaitingSlices::TakeThoseThat(
    absl::FunctionRef<bool(const Slice&)> match) {
  SliceList taken;
  MutexLock lock(mutex_);
  SliceList all = std::move(slices_);
  while (!all.empty()) {
    Slice& slice = all.PopFront();
    (match(slice) ? taken : slices_).PushBack(slice);
  }
  empty_ = slices_.empty();
  return taken;
}

}  // namespace te::shm
