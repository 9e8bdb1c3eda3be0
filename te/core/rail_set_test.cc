// How slices are spread over rails, and come back.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/core/rail_set_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {
namespace {

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

TEST_F(RailSetTest, AdvisesShorterSlicesWhileShortRequestsAreAbout) {
  Start(1, {.tight_time = std::chrono::seconds(10)});
  EXPECT_EQ(set_->slice_advice().bytes, 0U);
  Post(1);
  FinishAll();
  Post(100);
  while (rails_[0]->FinishOne(absl::OkStatus())) {
  }
  const uint32_t before = set_->slice_advice().bytes;
  ASSERT_GT(before, 0U);
  // To another peer.
  short_traffic_->Note(RealClock().Now());
  EXPECT_EQ(set_->slice_advice().bytes, before / 2);
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
