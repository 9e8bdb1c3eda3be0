#ifndef TE_TRANSPORT_RECORDING_SINK_H_
#define TE_TRANSPORT_RECORDING_SINK_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/transport/slice.h"

namespace te {

// Takes slices back for a test, which Slice::request numbers, and fails the
// test when one comes back twice. Thread-safe.
class RecordingSink final : public CompletionSink {
 public:
  // For slices 0…slices-1. `on_done`, if any, is called first, inside Done.
  explicit RecordingSink(
      size_t slices,
      std::function<void(const Slice&, const absl::Status&)> on_done = nullptr)
      : slices_(slices), on_done_(std::move(on_done)), outcomes_(slices) {}

  void Done(Slice& slice, absl::Status status) override {
    if (on_done_) on_done_(slice, status);
    MutexLock lock(mutex_);
    std::optional<absl::Status>& outcome = outcomes_.at(slice.request);
    EXPECT_FALSE(outcome.has_value())
        << "slice " << slice.request << " came back twice: " << *outcome
        << ", and now " << status;
    outcome = std::move(status);
    ++done_;
    changed_.NotifyAll();
  }

  // Waits until `slices` are back, by default all; false when `deadline` has
  // passed first.
  bool Wait(MonotonicTime deadline) { return Wait(slices_, deadline); }
  bool Wait(size_t slices, MonotonicTime deadline) {
    MutexLock lock(mutex_);
    while (done_ < slices) {
      if (!changed_.WaitUntil(mutex_, deadline)) return done_ >= slices;
    }
    return true;
  }

  size_t done() const {
    MutexLock lock(mutex_);
    return done_;
  }
  // How a slice came back; nullopt if it has not.
  std::optional<absl::Status> outcome(size_t slice) const {
    MutexLock lock(mutex_);
    return outcomes_[slice];
  }
  // OK if all are back and well, else what is wrong with the first that is not.
  absl::Status status() const {
    MutexLock lock(mutex_);
    for (const auto& outcome : outcomes_) {
      if (!outcome) return absl::UnknownError("a slice has not come back");
      if (!outcome->ok()) return *outcome;
    }
    return absl::OkStatus();
  }

 private:
  const size_t slices_;
  const std::function<void(const Slice&, const absl::Status&)> on_done_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<std::optional<absl::Status>> outcomes_ ABSL_GUARDED_BY(mutex_);
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_TRANSPORT_RECORDING_SINK_H_
