// What becomes of shared memory between processes when one of them goes, or
// takes its memory back, in the middle of an access.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/testing/target_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr Duration kEnough = seconds(60);
// Of the target.
constexpr size_t kBytes = 16 << 20;
// Copied by one system call, so that there is much time to interfere with it.
constexpr size_t kBlock = 8 << 20;
// Local memory has a place of its own for each time that the target's is read.
constexpr size_t kTimes = 8;
constexpr std::byte kTheirs{0x5a};
constexpr std::byte kOurs{0xee};

#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(ABSL_HAVE_ADDRESS_SANITIZER)
// Which take a tenth of a second for each, for the threads of it.
constexpr int kManySegments = 100;
#else
constexpr int kManySegments = 1000;
#endif

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

// By the memory of the target: its own, which the kernel copies, or that of its
// engine, which is mapped.
class ShmFaultTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.protocol = "shm";
    options.engine.slice_bytes = kBlock;
    TE_ASSERT_OK_AND_ASSIGN(engine_, CreateTransferEngine(options));
    TE_ASSERT_OK(engine_->RegisterMemory({.address = local_.data(),
                                          .length = local_.size(),
                                          .access = Access::kLocalOnly}));
  }

  void StartTarget() {
    TE_ASSERT_OK_AND_ASSIGN(
        target_,
        TargetProcess::Start({"127.0.0.1", absl::StrCat(kBytes), GetParam()}));
  }
  void Open() {
    TE_ASSERT_OK_AND_ASSIGN(segment_,
                            engine_->OpenSegment(target_->segment(), kEnough));
  }

  // All of the target's memory, to or from that place.
  std::vector<Request> Everything(Operation operation, size_t time) {
    std::vector<Request> requests;
    for (size_t offset = 0; offset < kBytes; offset += kBlock) {
      requests.push_back({.operation = operation,
                          .local = local_.data() + time * kBytes + offset,
                          .segment = segment_,
                          .remote_address = target_->address() + offset,
                          .length = kBlock});
    }
    return requests;
  }
  Batch Submit(absl::Span<const Request> requests) {
    SubmitOptions options;
    options.timeout = kEnough;
    auto batch = engine_->Submit(requests, options);
    TE_EXPECT_OK(batch);
    return batch.ok() ? *std::move(batch) : Batch();
  }
  absl::Status Transfer(absl::Span<const Request> requests) {
    Batch batch = Submit(requests);
    EXPECT_TRUE(batch.Wait(Soon()));
    return batch.status();
  }

  // A target whose memory is known, and local memory that is otherwise.
  void Prepare() {
    StartTarget();
    Open();
    std::fill(local_.begin(), local_.end(), kTheirs);
    TE_ASSERT_OK(Transfer(Everything(Operation::kWrite, 0)));
    std::fill(local_.begin(), local_.end(), kOurs);
  }
  bool HasTheirs(size_t offset) const {
    return std::all_of(local_.data() + offset, local_.data() + offset + kBlock,
                       [](std::byte b) { return b == kTheirs; });
  }

  // Reads all of it many times, and does `what` when the first bytes have come.
  // No request may hang, and those that say OK must have read what was there
  // before. Returns whether some were done, and others failed with `code`.
  template <typename Action>
  bool ReadsAreTrueWhile(Action what, absl::StatusCode code) {
    std::vector<Batch> batches;
    for (size_t time = 0; time < kTimes; ++time) {
      batches.push_back(Submit(Everything(Operation::kRead, time)));
    }
    EXPECT_TRUE(batches[0].Wait(0, Soon()));
    what();
    bool some_failed = false;
    for (size_t time = 0; time < kTimes; ++time) {
      EXPECT_TRUE(batches[time].Wait(Soon()));
      for (size_t i = 0; i < kBytes / kBlock; ++i) {
        const RequestResult result = batches[time].result(i);
        EXPECT_TRUE(result.local_reusable);
        if (result.status.ok()) {
          EXPECT_TRUE(HasTheirs(time * kBytes + i * kBlock))
              << "batch " << time << ", request " << i;
        } else {
          EXPECT_THAT(result.status, StatusIs(code));
          some_failed = true;
        }
      }
    }
    return some_failed && batches[0].result(0).status.ok();
  }

  std::vector<std::byte> local_ = std::vector<std::byte>(kTimes * kBytes);
  std::unique_ptr<TransferEngine> engine_;
  std::unique_ptr<TargetProcess> target_;
  SegmentId segment_;
};

INSTANTIATE_TEST_SUITE_P(Memory, ShmFaultTest,
                         testing::Values("read_write", "allocated"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

// What is copied fast may be done before the target is gone: once in so many
// times it is not.
constexpr int kAttempts = 20;

TEST_P(ShmFaultTest, WhatIsReadFromATargetThatIsKilledIsTrue) {
  bool in_the_middle = false;
  for (int i = 0; i < kAttempts && !in_the_middle; ++i) {
    Prepare();
    in_the_middle = ReadsAreTrueWhile([this] { target_->Kill(); },
                                      absl::StatusCode::kUnavailable);
    TE_EXPECT_OK(engine_->CloseSegment(segment_));
  }
  EXPECT_TRUE(in_the_middle);
}

TEST_P(ShmFaultTest, WhatIsReadFromMemoryThatIsUnregisteredIsTrue) {
  int in_the_middle = 0;
  for (int i = 0; i < kAttempts && in_the_middle < 5; ++i) {
    Prepare();
    in_the_middle += ReadsAreTrueWhile(
        [this] { EXPECT_THAT(target_->Ask("retire"), IsOkAndHolds("ok")); },
        absl::StatusCode::kNotFound);
    TE_EXPECT_OK(engine_->CloseSegment(segment_));
  }
  EXPECT_GT(in_the_middle, 0);
}

TEST_P(ShmFaultTest, WritesToATargetThatIsKilledEnd) {
  Prepare();
  std::vector<Batch> batches;
  for (size_t time = 0; time < kTimes; ++time) {
    batches.push_back(Submit(Everything(Operation::kWrite, time)));
  }
  ASSERT_TRUE(batches[0].Wait(0, Soon()));
  target_->Kill();
  for (Batch& batch : batches) {
    EXPECT_TRUE(batch.Wait(Soon()));
    if (!batch.status().ok()) {
      EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kUnavailable,
                                           HasSubstr(target_->segment())));
    }
  }
  EXPECT_THAT(Transfer(Everything(Operation::kWrite, 0)),
              StatusIs(absl::StatusCode::kUnavailable));
}

struct Held {
  size_t descriptors = 0;
  // Of shared memory, and of all.
  size_t shared = 0;
  size_t mappings = 0;
};

Held HeldHere() {
  return {.descriptors = CountOpenDescriptors(),
          .shared = CountMappings("memfd:te-"),
          .mappings = CountMappings("")};
}
Held HeldBy(TargetProcess& target) {
  auto said = target.Ask("resources");
  TE_EXPECT_OK(said);
  std::istringstream words(said.value_or(""));
  Held held;
  EXPECT_TRUE(words >> held.descriptors >> held.shared >> held.mappings);
  return held;
}

// Ends let go of what they had a little later. To compare with: what is held
// when there is no more shared memory than that.
template <typename Look>
Held HeldWithOnly(size_t shared, Look look) {
  const MonotonicTime deadline = Soon();
  Held now = look();
  while (now.shared > shared && RealClock().Now() < deadline) now = look();
  EXPECT_LE(now.shared, shared);
  return now;
}

// Returns what is held then.
template <typename Look>
Held ExpectBack(const Held& before, Look look) {
  const MonotonicTime deadline = Soon();
  Held now = look();
  while ((now.descriptors > before.descriptors || now.shared > before.shared) &&
         RealClock().Now() < deadline) {
    now = look();
  }
  EXPECT_LE(now.descriptors, before.descriptors);
  EXPECT_LE(now.shared, before.shared);
  return now;
}

TEST_P(ShmFaultTest, ManySegmentsOpenedAndClosedLeaveNothing) {
  StartTarget();
  const auto use = [this] {
    Open();
    Request request = Everything(Operation::kRead, 0).front();
    request.length = 4 << 10;
    TE_EXPECT_OK(Transfer({request}));
    TE_EXPECT_OK(engine_->CloseSegment(segment_));
  };
  const size_t shared_here = HeldHere().shared;
  const size_t shared_there = HeldBy(*target_).shared;
  // What is made once, such as threads.
  for (int i = 0; i < 10; ++i) use();
  const Held here = HeldWithOnly(shared_here, HeldHere);
  const Held there =
      HeldWithOnly(shared_there, [this] { return HeldBy(*target_); });
  const size_t named = CountNamedSharedMemory("te-");
  for (int i = 0; i < kManySegments; ++i) use();
  // There is something to be seen.
  Open();
  EXPECT_GT(HeldHere().shared, here.shared);
  EXPECT_GT(HeldBy(*target_).shared, there.shared);
  TE_EXPECT_OK(engine_->CloseSegment(segment_));
  const Held here_then = ExpectBack(here, HeldHere);
  const Held there_then =
      ExpectBack(there, [this] { return HeldBy(*target_); });
  // Memory is mapped by malloc as well, and much by that of a sanitizer, but
  // not once for every other segment.
  EXPECT_LE(here_then.mappings, here.mappings + kManySegments / 2);
  EXPECT_LE(there_then.mappings, there.mappings + kManySegments / 2);
  EXPECT_EQ(CountNamedSharedMemory("te-"), named);
}

TEST_P(ShmFaultTest, TargetsThatAreKilledLeaveNothing) {
  const auto use = [this] {
    StartTarget();
    Open();
    TE_EXPECT_OK(Transfer(Everything(Operation::kWrite, 0)));
    target_->Kill();
    TE_EXPECT_OK(engine_->CloseSegment(segment_));
    target_.reset();
  };
  const size_t shared = HeldHere().shared;
  for (int i = 0; i < 3; ++i) use();
  const Held here = HeldWithOnly(shared, HeldHere);
  const size_t named = CountNamedSharedMemory("te-");
  for (int i = 0; i < 20; ++i) use();
  ExpectBack(here, HeldHere);
  EXPECT_EQ(CountNamedSharedMemory("te-"), named);
}

// Nobody uses the segment, and nobody closes it: what the target had is the
// system's again all the same.
TEST_P(ShmFaultTest, AnIdlePeerKeepsNoMemoryOfATargetThatIsKilled) {
  const Held before = HeldHere();
  Prepare();
  EXPECT_GT(HeldHere().shared, before.shared);
  target_->Kill();
  // The tables of the connection go with it.
  const MonotonicTime deadline = Soon();
  while (CountMappings("memfd:te-memory") > 0 && RealClock().Now() < deadline) {
    sched_yield();
  }
  EXPECT_EQ(CountMappings("memfd:te-memory"), 0u);
}

TEST_P(ShmFaultTest, AnIdlePeerKeepsNoMemoryThatIsFreed) {
  Prepare();
  EXPECT_THAT(target_->Ask("retire"), IsOkAndHolds("ok"));
  const MonotonicTime deadline = Soon();
  while (CountMappings("memfd:te-memory") > 0 && RealClock().Now() < deadline) {
    sched_yield();
  }
  EXPECT_EQ(CountMappings("memfd:te-memory"), 0u);
  EXPECT_THAT(Transfer(Everything(Operation::kRead, 0)),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ShmFaultTest, EnginesThatGoLeaveNothingAtTheTarget) {
  StartTarget();
  const auto use = [this] {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.protocol = "shm";
    TE_ASSERT_OK_AND_ASSIGN(const auto engine, CreateTransferEngine(options));
    TE_EXPECT_OK(engine->OpenSegment(target_->segment(), kEnough));
  };
  const size_t shared_here = HeldHere().shared;
  const size_t shared_there = HeldBy(*target_).shared;
  for (int i = 0; i < 3; ++i) use();
  const Held here = HeldWithOnly(shared_here, HeldHere);
  const Held there =
      HeldWithOnly(shared_there, [this] { return HeldBy(*target_); });
  for (int i = 0; i < 30; ++i) use();
  ExpectBack(here, HeldHere);
  ExpectBack(there, [this] { return HeldBy(*target_); });
}

}  // namespace
}  // namespace te
