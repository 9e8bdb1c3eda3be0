#ifndef TE_TRANSPORT_SHM_WAITING_SLICES_H_
#define TE_TRANSPORT_SHM_WAITING_SLICES_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "te/base/mutex.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::shm {

// Slices that wait for a thread to copy them, in order. Thread-safe.
class WaitingSlices {
 public:
  void Append(SliceList slices);
  // The first one, and those after it as long as they have no more than
  // `most_bytes` together. Empty if nothing waits.
  SliceList TakeSome(uint64_t most_bytes);
  SliceList TakeThoseThat(absl::FunctionRef<bool(const Slice&)> match);
  // Sequentially consistent, so that of one who adds a slice and then looks
  // whether somebody is there for it, and one who does it the other way round,
  // one sees the other.
  bool empty() const { return empty_; }

 private:
  std::atomic<bool> empty_{true};
  Mutex mutex_;
  SliceList slices_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_WAITING_SLICES_H_
