#ifndef TE_CORE_BATCH_POOL_H_
#define TE_CORE_BATCH_POOL_H_

#include <atomic>
#include <cstddef>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/slab.h"
#include "te/core/batch_state.h"

namespace te {

// The batches of an engine, a fixed number, and the budget of their slices.
// Thread-safe. Shared by the engine and its batches' handles, so that a handle
// that outlives the engine still shows its results.
class BatchPool final : public BatchState::Host {
 public:
  // `send_notification`: see BatchState::Host; not called any more when every
  // batch has finished.
  BatchPool(size_t max_batches, size_t max_slices,
            std::function<void(BatchState&)> send_notification);

  // A batch to set up; Launch it or Return it. kResourceExhausted at the limit.
  absl::StatusOr<BatchState*> Acquire(size_t requests,
                                      uint32_t max_slice_attempts,
                                      MonotonicTime deadline);
  // Takes so many slices from the budget, for that batch, or says that there
  // are not as many left.
  absl::Status ReserveSlices(BatchState& batch, size_t count);
  // Takes back a batch that was not launched.
  void Return(BatchState& batch) { Recycle(batch); }

  // Calls with each batch that is in use, which stays so meanwhile.
  void ForEach(absl::FunctionRef<void(BatchState&)> function);

  size_t slices_in_use() const { return slices_; }
  size_t batches_in_use() const { return slab_.size(); }

 private:
  void SendNotification(BatchState& batch) override;
  void Recycle(BatchState& batch) override;

  const size_t max_slices_;
  // What a batch keeps storage for between two uses: its share, so that all
  // together keep no more than max_slices.
  const size_t kept_slices_;
  const std::function<void(BatchState&)> send_notification_;
  std::atomic<size_t> slices_{0};
  Slab<BatchState> slab_;
};

}  // namespace te

#endif  // TE_CORE_BATCH_POOL_H_
