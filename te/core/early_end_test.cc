// How requests end before all their data have moved: by Cancel, a deadline, and
// the end of what they need.

#include <chrono>
#include <cstdint>
#include <thread>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/engine_options.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class EarlyEndTest : public EngineFixture {
 protected:
  // A batch of one slice that is cancelled after it was sent and before it has
  // that outcome.
  Batch SubmitAndCancelUnderWay(const absl::Status& outcome) {
    network_->Hold();
    Batch batch = Submit({{Write(0, 10)}});
    network_->set_script([&](uint64_t, const Slice&) {
      batch.Cancel();
      return outcome;
    });
    network_->Release();
    // Who waits looks first, and so sends it.
    EXPECT_TRUE(batch.Wait(Soon()));
    network_->set_script(nullptr);
    return batch;
  }
};

TEST_F(EarlyEndTest, CancelEndsWhatIsHeld) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  EXPECT_FALSE(batch.Wait(RealClock().Now()));
  EXPECT_FALSE(batch.result(0).local_reusable);
  batch.Cancel();
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(network_->slices(), 0u);
}

// A failure that alone would have led to another attempt is told by why there
// was none.
TEST_F(EarlyEndTest, WhatFailsAfterCancelIsCancelled) {
  for (const absl::Status& error :
       {Unavailable(), absl::AbortedError("scripted")}) {
    const Batch batch = SubmitAndCancelUnderWay(error);
    EXPECT_THAT(batch.status(),
                StatusIs(absl::StatusCode::kCancelled, HasSubstr("scripted")));
    EXPECT_TRUE(batch.result(0).local_reusable);
  }
}

TEST_F(EarlyEndTest, OtherOutcomesAreToldAfterCancelToo) {
  for (const absl::Status& outcome :
       {absl::OkStatus(), absl::DataLossError("scripted")}) {
    EXPECT_EQ(SubmitAndCancelUnderWay(outcome).status(), outcome);
  }
}

// What would have ended the request anyway.
TEST_F(EarlyEndTest, ALastAttemptThatFailsIsToldAfterCancelToo) {
  Start({.max_slice_attempts = 1});
  EXPECT_THAT(SubmitAndCancelUnderWay(Unavailable()).status(),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(EarlyEndTest, CancelAndDeadlineEndWhatWaitsForTheConnection) {
  for (const bool cancel : {true, false}) {
    Start({.max_connect_attempts = 1000});
    server_.transport->DisconnectPeers();
    network_->FailConnects(1'000'000, Unavailable());
    const int before = network_->connects();
    SubmitOptions options;
    if (!cancel) options.timeout = milliseconds(50);
    Batch batch = Submit(FourWrites(), options);
    if (cancel) {
      const MonotonicTime deadline = Soon();
      while (network_->connects() < before + 2) {
        ASSERT_LT(RealClock().Now(), deadline);
        std::this_thread::yield();
      }
      batch.Cancel();
    }
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_THAT(batch.status(),
                StatusIs(cancel ? absl::StatusCode::kCancelled
                                : absl::StatusCode::kDeadlineExceeded));
    EXPECT_TRUE(batch.result(0).local_reusable);
    network_->FailConnects(0, absl::OkStatus());
  }
}

TEST_F(EarlyEndTest, ADeadlineEndsWhatIsHeldAndNothingElse) {
  network_->Hold();
  Batch patient = Submit({{Write(0, 100)}});
  SubmitOptions options;
  options.timeout = milliseconds(20);
  Batch hasty = Submit({{Write(kSlice, 100)}}, options);
  ASSERT_TRUE(hasty.Wait(Soon()));
  EXPECT_THAT(hasty.status(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                       HasSubstr("server")));
  EXPECT_FALSE(patient.finished());
  Release();
  ASSERT_TRUE(patient.Wait(Soon()));
  TE_EXPECT_OK(patient.status());
}

TEST_F(EarlyEndTest, ClosingTheSegmentEndsItsRequests) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  TE_EXPECT_OK(client_.engine->CloseSegment(segment_));
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(client_.engine->CloseSegment(segment_),
              StatusIs(absl::StatusCode::kNotFound));
  network_->Release();
  EXPECT_THAT(Transfer({{Write(0, 1)}}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(EarlyEndTest, UnregisteringCutsOffWhatIsHeld) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  TE_EXPECT_OK(
      client_.engine->UnregisterMemory(client_.buffer, milliseconds(10)));
  EXPECT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(EarlyEndTest, HandlesOutliveTheEngine) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  client_.engine.reset();
  EXPECT_TRUE(batch.finished());
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace te
