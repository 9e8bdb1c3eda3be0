#ifndef TE_CORE_BATCH_H_
#define TE_CORE_BATCH_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/core/batch_pool.h"
#include "te/core/batch_state.h"
#include "te/core/request.h"

namespace te {

// The caller's handle of what TransferEngine::Submit has accepted. Movable; a
// moved-from or default one must not be asked anything. The methods are
// thread-safe, and may be used when the engine is gone.
//
// Dropping the handle of an unfinished batch lets it go on by itself; its local
// memory stays in use until then, as UnregisterMemory will find.
class Batch {
 public:
  Batch() = default;
  // The engine's: takes over one reference.
  Batch(std::shared_ptr<BatchPool> pool, BatchState& state)
      : pool_(std::move(pool)), state_(&state) {}
  Batch(Batch&& other) noexcept { *this = std::move(other); }
  Batch& operator=(Batch&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(state_, other.state_);
    return *this;
  }
  ~Batch() {
    if (state_ != nullptr) state_->Unref();
  }

  size_t size() const { return state_->size(); }

  // Whether all requests have ended, well or not, and the notification has been
  // delivered or has failed.
  bool finished() const { return state_->finished(); }
  // Whether one request has ended; `index` as in the span that was submitted.
  bool finished(size_t index) const { return state_->request_finished(index); }

  // Wait for that, and move the data along meanwhile; false when `deadline` has
  // passed first, which changes nothing: a batch ends by its own timeout. After
  // the wait for a batch its eventfd has been written to, and its on_finished
  // has returned.
  bool Wait(MonotonicTime deadline = kNoDeadline) {
    return state_->Wait([this] { return state_->settled(); }, deadline);
  }
  bool Wait(size_t index, MonotonicTime deadline) {
    return state_->Wait([this, index] { return finished(index); }, deadline);
  }

  // How a request ended.
  RequestResult result(size_t index) const { return state_->result(index); }
  // OK, or the status of the first request, by index, that has failed so far.
  absl::Status status() const { return state_->status(); }
  // Of a finished batch: whether its notification arrived.
  absl::Status notification_status() const {
    return state_->notification_status();
  }

  // Withdraws the slices that have not been sent yet. A request that loses one
  // ends with CANCELLED once the others are back, although those may have moved
  // part of its data: what it writes to then holds some of them. Requests that
  // have been sent as a whole go on, but what fails from now on is not sent
  // again, and ends with CANCELLED where it would have been. Returns at once.
  void Cancel() { state_->Cancel(); }

 private:
  std::shared_ptr<BatchPool> pool_;
  BatchState* state_ = nullptr;
};

}  // namespace te

#endif  // TE_CORE_BATCH_H_
