#ifndef TE_CORE_RAIL_SET_FIXTURE_H_
#define TE_CORE_RAIL_SET_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/task_queue.h"
#include "te/core/rail_scheduler.h"
#include "te/core/rail_set.h"
#include "te/core/short_traffic.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

inline constexpr uint32_t kLong = 256 << 10;

// Keeps what is posted until the test says what becomes of it. Thread-safe.
class ScriptedRail final : public Rail {
 public:
  explicit ScriptedRail(std::string name) : name_(std::move(name)) {}

  void Post(absl::Span<Slice* const> slices) override {
    {
      MutexLock lock(mutex_);
      slices_.insert(slices_.end(), slices.begin(), slices.end());
    }
    if (immediate_) Finish(absl::OkStatus());
    if (!health().ok()) Finish(health());
  }
  Progress Poll() override {
    ++polls_;
    return Progress::kIdle;
  }
  void BeginPolling() override {}
  void EndPolling() override {}
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override {
    std::vector<Slice*> withdrawn;
    {
      MutexLock lock(mutex_);
      const auto kept =
          std::stable_partition(slices_.begin(), slices_.end(),
                                [&](const Slice* s) { return !matches(*s); });
      withdrawn.assign(kept, slices_.end());
      slices_.erase(kept, slices_.end());
    }
    for (Slice* slice : withdrawn) slice->sink->Done(*slice, status);
  }
  void Close(const absl::Status& why) override {
    {
      MutexLock lock(mutex_);
      if (health_.ok()) health_ = why;
    }
    Finish(why);
  }
  absl::Status health() const override {
    MutexLock lock(mutex_);
    return health_;
  }
  absl::Status why_down() const override {
    MutexLock lock(mutex_);
    return why_down_;
  }
  State state() const override {
    return health().ok() ? state_.load() : State::kDown;
  }
  void Prepare() override {
    ++prepared_;
    state_ = State::kReady;
  }
  bool IsNear(MemoryLocation location) const override {
    return location == MemoryLocation() || near_ == location;
  }
  std::string name() const override { return name_; }

  // Ends everything that is on the rail, also what is posted meanwhile.
  size_t Finish(const absl::Status& status) {
    size_t count = 0;
    while (Slice* slice = Take()) {
      ++count;
      slice->sink->Done(*slice, status);
    }
    return count;
  }
  // The oldest.
  bool FinishOne(const absl::Status& status) {
    Slice* const slice = Take();
    if (slice == nullptr) return false;
    slice->sink->Done(*slice, status);
    return true;
  }
  size_t size() const {
    MutexLock lock(mutex_);
    return slices_.size();
  }
  void set_state(State state) { state_ = state; }
  void set_why_down(const absl::Status& why) {
    MutexLock lock(mutex_);
    why_down_ = why;
  }
  void set_near(MemoryLocation location) { near_ = location; }
  // Slices end well as soon as they are posted.
  void set_immediate() { immediate_ = true; }
  int prepared() const { return prepared_; }
  int polls() const { return polls_; }

 private:
  Slice* Take() {
    MutexLock lock(mutex_);
    if (slices_.empty()) return nullptr;
    Slice* const slice = slices_.front();
    slices_.pop_front();
    return slice;
  }

  const std::string name_;
  std::atomic<State> state_{State::kReady};
  std::atomic<bool> immediate_{false};
  std::atomic<int> prepared_{0};
  std::atomic<int> polls_{0};
  MemoryLocation near_;
  mutable Mutex mutex_;
  std::deque<Slice*> slices_ ABSL_GUARDED_BY(mutex_);
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  absl::Status why_down_ ABSL_GUARDED_BY(mutex_);
};

class RailSetTest : public testing::Test {
 protected:
  void Start(size_t rails, const RailScheduler::Options& options = {}) {
    auto timers = TaskQueue::Create("timers", 1);
    TE_ASSERT_OK(timers);
    timers_ = *std::move(timers);
    Rails all;
    for (size_t i = 0; i < rails; ++i) {
      rails_.push_back(
          std::make_shared<ScriptedRail>("rail " + std::to_string(i)));
      all.push_back(rails_.back());
    }
    set_ = std::make_shared<RailSet>(std::move(all), options, short_traffic_,
                                     *timers_);
  }
  void TearDown() override {
    if (set_ != nullptr) set_->Close(absl::CancelledError("the test ends"));
    set_.reset();
    timers_.reset();
  }

  // As a batch posts them.
  RecordingSink& Post(size_t count, uint32_t length = kLong) {
    RecordingSink& sink = sinks_.emplace_back(count);
    std::vector<Slice>& slices = slices_.emplace_back(count);
    std::vector<Slice*> pointers;
    for (size_t i = 0; i < count; ++i) {
      slices[i].sink = slices[i].owner = &sink;
      slices[i].request = static_cast<uint32_t>(i);
      slices[i].length = length;
      slices[i].bulk = length > 65536;
      slices[i].local_location = location_;
      pointers.push_back(&slices[i]);
    }
    set_->Post(pointers);
    return sink;
  }
  size_t OnRails() const {
    size_t count = 0;
    for (const auto& rail : rails_) count += rail->size();
    return count;
  }
  size_t FinishAll() {
    size_t count = 0;
    for (const auto& rail : rails_) count += rail->Finish(absl::OkStatus());
    return count;
  }

  const std::shared_ptr<ShortTraffic> short_traffic_ =
      std::make_shared<ShortTraffic>();
  std::unique_ptr<TaskQueue> timers_;
  std::vector<std::shared_ptr<ScriptedRail>> rails_;
  std::shared_ptr<RailSet> set_;
  MemoryLocation location_;
  std::deque<RecordingSink> sinks_;
  std::deque<std::vector<Slice>> slices_;
};

}  // namespace te

#endif  // TE_CORE_RAIL_SET_FIXTURE_H_
