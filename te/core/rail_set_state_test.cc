// Rails that fail, are down, or have yet to be set up.

#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/core/rail_set_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/transport.h"

namespace te {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TEST_F(RailSetTest, WhatComesBackGoesToItsOwnerAndOverAnotherRailNext) {
  Start(2,
        {.model = {.first_pause = seconds(60), .longest_pause = seconds(60)}});
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

TEST_F(RailSetTest, SaysWhyNoRailWorks) {
  Start(4);
  for (const auto& rail : rails_) rail->set_state(Rail::State::kDown);
  rails_[1]->set_why_down(absl::UnavailableError("the cable is out"));
  rails_[2]->set_why_down(absl::UnavailableError("it is hot"));
  rails_[3]->set_why_down(absl::UnavailableError("it is hot"));
  EXPECT_EQ(Post(1).status().message(),
            "no rail works: rail 0: the cable is out; it is hot");
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

TEST_F(RailSetTest, WhatIsGivenBackMakesItLookAtTheRail) {
  Start(2);
  Post(1);
  const size_t used = rails_[0]->size() == 1 ? 0 : 1;
  rails_[used]->set_state(Rail::State::kDown);
  // Which is no failure, for which it would pause.
  rails_[used]->Finish(absl::AbortedError("closed"));
  for (int i = 0; i < 5; ++i) {
    Post(1);
    EXPECT_EQ(rails_[used]->size(), 0U);
    EXPECT_EQ(rails_[1 - used]->Finish(absl::OkStatus()), 1U);
  }
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

// Which keep little under way on each rail.
TEST_F(RailSetTest, IdleRailsAreSetUpAlsoBesideShortRequests) {
  Start(2);
  rails_[1]->set_state(Rail::State::kIdle);
  Post(1, 4096);
  EXPECT_EQ(rails_[0]->Finish(absl::OkStatus()), 1U);
  Post(100, 70'000);
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

}  // namespace
}  // namespace te
