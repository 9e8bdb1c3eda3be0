#include "te/core/rail_set.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/task_queue.h"
#include "te/base/thread.h"
#include "te/core/rail_scheduler.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr uint32_t kLong = 256 << 10;

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
};

class RailSetTest : public testing::Test {
 protected:
  void Start(size_t rails) {
    auto timers = TaskQueue::Create("timers", 1);
    TE_ASSERT_OK(timers);
    timers_ = *std::move(timers);
    Rails all;
    for (size_t i = 0; i < rails; ++i) {
      rails_.push_back(
          std::make_shared<ScriptedRail>("rail " + std::to_string(i)));
      all.push_back(rails_.back());
    }
    set_ = std::make_shared<RailSet>(std::move(all), RailScheduler::Options(),
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

  std::unique_ptr<TaskQueue> timers_;
  std::vector<std::shared_ptr<ScriptedRail>> rails_;
  std::shared_ptr<RailSet> set_;
  MemoryLocation location_;
  std::deque<RecordingSink> sinks_;
  std::deque<std::vector<Slice>> slices_;
};

TEST_F(RailSetTest, SpreadsSlicesAndHoldsBackWhatTheRailsCannotUse) {
  Start(4);
  RecordingSink& sink = Post(1000);
  for (const auto& rail : rails_) EXPECT_GE(rail->size(), 1U);
  EXPECT_LT(OnRails(), 1000U);
  size_t finished = 0;
  while (const size_t count = FinishAll()) finished += count;
  EXPECT_EQ(finished, 1000U);
  EXPECT_EQ(sink.done(), 1000U);
  TE_EXPECT_OK(sink.status());
}

TEST_F(RailSetTest, AShortRequestDoesNotWaitBehindLongOnes) {
  Start(1);
  Post(1000);
  const size_t before = rails_[0]->size();
  RecordingSink& sink = Post(1, 4096);
  EXPECT_EQ(rails_[0]->size(), before + 1);
  while (sink.done() == 0) {
    ASSERT_TRUE(rails_[0]->FinishOne(absl::OkStatus()));
  }
  EXPECT_LT(sinks_.front().done(), 100U);
  while (FinishAll() > 0) {
  }
}

TEST_F(RailSetTest, WhatComesBackGoesToItsOwnerAndOverAnotherRailNext) {
  Start(2);
  RecordingSink& sink = Post(1);
  const size_t used = rails_[0]->size() == 1 ? 0 : 1;
  rails_[used]->Finish(absl::UnavailableError("broken"));
  EXPECT_EQ(sink.done(), 1U);
  EXPECT_TRUE(absl::IsUnavailable(sink.status()));
  TE_EXPECT_OK(set_->health());
  for (int i = 0; i < 5; ++i) {
    Post(1);
    EXPECT_EQ(rails_[used]->size(), 0U);
    EXPECT_EQ(rails_[1 - used]->Finish(absl::OkStatus()), 1U);
  }
}

TEST_F(RailSetTest, WaitsForNothingWhenTheOnlyRailHasFailedOnce) {
  Start(1);
  Post(1);
  rails_[0]->Finish(absl::UnavailableError("broken"));
  RecordingSink& sink = Post(1);
  EXPECT_EQ(rails_[0]->Finish(absl::OkStatus()), 1U);
  TE_EXPECT_OK(sink.status());
}

TEST_F(RailSetTest, FailsWhenNoRailWorks) {
  Start(2);
  for (const auto& rail : rails_) rail->set_state(Rail::State::kDown);
  RecordingSink& sink = Post(3);
  EXPECT_EQ(sink.done(), 3U);
  EXPECT_TRUE(absl::IsUnavailable(sink.status())) << sink.status();
  EXPECT_THAT(std::string(sink.status().message()), HasSubstr("no rail works"));
  EXPECT_FALSE(set_->health().ok());
  // For good: whoever connects anew makes other rails.
  for (const auto& rail : rails_) rail->set_state(Rail::State::kReady);
  EXPECT_EQ(Post(1).done(), 1U);
}

TEST_F(RailSetTest, ARailThatIsDownIsNotUsedUntilItIsBack) {
  Start(2);
  rails_[0]->set_state(Rail::State::kDown);
  Post(100);
  EXPECT_EQ(rails_[0]->size(), 0U);
  rails_[0]->set_state(Rail::State::kReady);
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), seconds(30));
  while (rails_[0]->size() == 0 && RealClock().Now() < end) {
    if (rails_[1]->size() == 0) Post(100);
    rails_[1]->FinishOne(absl::OkStatus());
  }
  EXPECT_GT(rails_[0]->size(), 0U);
  while (FinishAll() > 0) {
  }
}

// What completes is not what makes it look again.
TEST_F(RailSetTest, ARailComesBackWhileNothingCompletes) {
  Start(2);
  rails_[0]->set_state(Rail::State::kDown);
  Post(1000);
  ASSERT_EQ(rails_[0]->size(), 0U);
  rails_[0]->set_state(Rail::State::kReady);
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), seconds(30));
  while (rails_[0]->size() == 0 && RealClock().Now() < end) {
    std::this_thread::yield();
  }
  EXPECT_GT(rails_[0]->size(), 0U);
  while (FinishAll() > 0) {
  }
}

TEST_F(RailSetTest, IdleRailsAreSetUpWhenThereIsUseForThem) {
  Start(2);
  rails_[1]->set_state(Rail::State::kIdle);
  Post(1, 4096);
  EXPECT_EQ(rails_[0]->Finish(absl::OkStatus()), 1U);
  EXPECT_EQ(rails_[1]->prepared(), 0);
  Post(100);
  EXPECT_EQ(rails_[1]->prepared(), 1);
  while (FinishAll() > 0) {
  }
}

// Nobody else sees then that it has become ready.
TEST_F(RailSetTest, PollsWhatIsBeingSetUp) {
  Start(2);
  rails_[1]->set_state(Rail::State::kPreparing);
  Post(1);
  EXPECT_EQ(set_->Poll(), Progress::kIdle);
  EXPECT_EQ(rails_[1]->polls(), 1);
  FinishAll();
}

TEST_F(RailSetTest, NearRailsComeFirst) {
  Start(2);
  location_ = MemoryLocation::Cpu(1);
  rails_[0]->set_near(MemoryLocation::Cpu(0));
  rails_[1]->set_near(MemoryLocation::Cpu(1));
  for (int i = 0; i < 10; ++i) {
    Post(1, 4096);
    EXPECT_EQ(rails_[1]->Finish(absl::OkStatus()), 1U);
  }
}

TEST_F(RailSetTest, WithdrawsWhatMatches) {
  Start(1);
  RecordingSink& kept = Post(10);
  RecordingSink& withdrawn = Post(10);
  set_->Withdraw([&](const Slice& s) { return s.owner == &withdrawn; },
                 absl::CancelledError("withdrawn"));
  EXPECT_EQ(withdrawn.done(), 10U);
  EXPECT_TRUE(absl::IsCancelled(withdrawn.status()));
  EXPECT_EQ(kept.done(), 0U);
  while (FinishAll() > 0) {
  }
  TE_EXPECT_OK(kept.status());
}

// As a batch does that cancels its siblings when the first of them fails.
TEST_F(RailSetTest, AnOwnerMayWithdrawOthersWhenItsOwnComesBackAtOnce) {
  Start(1);
  RecordingSink& others = Post(100);
  RecordingSink own(1, [&](const Slice&, const absl::Status&) {
    set_->Withdraw([&](const Slice& s) { return s.owner == &others; },
                   absl::CancelledError("withdrawn"));
  });
  rails_[0]->set_immediate();
  Slice slice;
  slice.sink = slice.owner = &own;
  slice.length = 4096;
  Slice* const posted = &slice;
  set_->Post({&posted, 1});
  EXPECT_EQ(own.done(), 1U);
  EXPECT_EQ(others.done(), 100U);
}

TEST_F(RailSetTest, LongRequestsOfEachKindOfMemoryGetTheirShare) {
  Start(2);
  rails_[0]->set_near(MemoryLocation::Cpu(0));
  rails_[1]->set_near(MemoryLocation::Cpu(1));
  // Near to both, and to one of them.
  RecordingSink& first = Post(1000);
  location_ = MemoryLocation::Cpu(1);
  RecordingSink& second = Post(1000);
  while (second.done() < 300) {
    for (const auto& rail : rails_) rail->FinishOne(absl::OkStatus());
  }
  EXPECT_LT(first.done(), 700U);
  while (FinishAll() > 0) {
  }
}

TEST_F(RailSetTest, LongRequestsGetTheirShareBesideShortOnes) {
  Start(1);
  RecordingSink& bulk = Post(2000);
  RecordingSink& first = Post(20'000, 65536);
  while (first.done() < 10'000) {
    ASSERT_TRUE(rails_[0]->FinishOne(absl::OkStatus()));
  }
  // An eighth of the bytes, once what was on the rail before has gone.
  EXPECT_GT(bulk.done() * kLong, 10'000U * 65536 / 10);
  while (FinishAll() > 0) {
  }
}

TEST_F(RailSetTest, ANearRailIsSetUpAlthoughAFarOneIsIdle) {
  Start(3);
  location_ = MemoryLocation::Cpu(1);
  for (const auto& rail : rails_) rail->set_near(MemoryLocation::Cpu(0));
  rails_[2]->set_near(location_);
  rails_[1]->set_state(Rail::State::kIdle);
  rails_[2]->set_state(Rail::State::kIdle);
  Post(1, 4096);
  EXPECT_EQ(rails_[1]->prepared(), 0);
  EXPECT_EQ(rails_[2]->prepared(), 1);
  while (FinishAll() > 0) {
  }
}

TEST_F(RailSetTest, ARailThatIsBeingSetUpGetsLittle) {
  Start(2);
  for (const auto& rail : rails_) rail->set_state(Rail::State::kPreparing);
  Post(100);
  for (const auto& rail : rails_) EXPECT_LE(rail->size(), 1U);
  EXPECT_GE(OnRails(), 1U);
  for (const auto& rail : rails_) rail->set_state(Rail::State::kReady);
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), seconds(30));
  while (FinishAll() > 0 || OnRails() > 0) {
    ASSERT_LT(RealClock().Now(), end);
  }
  EXPECT_EQ(sinks_.front().done(), 100U);
}

TEST_F(RailSetTest, CloseGivesEverythingBack) {
  Start(2);
  RecordingSink& sink = Post(1000);
  set_->Close(absl::AbortedError("closed"));
  EXPECT_EQ(sink.done(), 1000U);
  EXPECT_TRUE(absl::IsAborted(sink.status()));
  EXPECT_TRUE(absl::IsAborted(set_->health()));
  EXPECT_EQ(Post(1).done(), 1U);
}

// Each slice comes back once, whoever posts, completes or closes meanwhile.
TEST_F(RailSetTest, ManyThreads) {
  constexpr size_t kThreads = 4;
  constexpr size_t kRounds = 200;
  constexpr size_t kSlices = 20;
  Start(3);
  rails_[0]->set_immediate();
  std::atomic<size_t> posting{kThreads};
  std::deque<RecordingSink> sinks;
  std::vector<std::vector<Slice>> slices(kThreads * kRounds,
                                         std::vector<Slice>(kSlices));
  for (auto& batch : slices) {
    RecordingSink& sink = sinks.emplace_back(kSlices);
    for (size_t i = 0; i < kSlices; ++i) {
      batch[i].sink = batch[i].owner = &sink;
      batch[i].request = static_cast<uint32_t>(i);
      batch[i].length = i % 2 == 0 ? kLong : 4096;
      batch[i].bulk = i % 2 == 0;
    }
  }
  std::vector<Thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    auto thread = Thread::Start({.name = "post"}, [&, t] {
      for (size_t round = 0; round < kRounds; ++round) {
        std::vector<Slice*> pointers;
        for (Slice& slice : slices[t * kRounds + round]) {
          pointers.push_back(&slice);
        }
        set_->Post(pointers);
      }
      --posting;
    });
    TE_ASSERT_OK(thread);
    threads.push_back(*std::move(thread));
  }
  for (size_t i = 1; i < rails_.size(); ++i) {
    auto thread = Thread::Start({.name = "complete"}, [&, i] {
      uint64_t count = 0;
      const auto back = [&] {
        return std::all_of(sinks.begin(), sinks.end(), [](const auto& sink) {
          return sink.done() == kSlices;
        });
      };
      while (posting > 0 || !back()) {
        // One in a hundred fails.
        if (!rails_[i]->FinishOne(++count % 100 == 0
                                      ? absl::UnavailableError("injected")
                                      : absl::OkStatus())) {
          std::this_thread::yield();
        }
      }
    });
    TE_ASSERT_OK(thread);
    threads.push_back(*std::move(thread));
  }
  for (Thread& thread : threads) thread.Join();
  for (const RecordingSink& sink : sinks) EXPECT_EQ(sink.done(), kSlices);
}

}  // namespace
}  // namespace te
