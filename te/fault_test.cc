// What the engine promises when the peer, the caller or the network misbehaves.
// The target is a process of its own, which the tests kill, stop and restart.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/crc32c.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/testing/target_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;

// Far more than anything here takes, also under a sanitizer.
constexpr Duration kEnough = seconds(60);
constexpr size_t kBytes = 32 << 20;
constexpr size_t kBlock = 1 << 20;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

std::unique_ptr<TargetProcess> StartTarget(
    const std::string& name = "127.0.0.1", const std::string& access = "") {
  auto target = TargetProcess::Start({name, absl::StrCat(kBytes), access});
  TE_EXPECT_OK(target);
  return target.ok() ? *std::move(target) : nullptr;
}

// The parameter is the protocol.
class FaultTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.protocol = GetParam();
    TE_ASSERT_OK_AND_ASSIGN(engine_, CreateTransferEngine(options));
    TE_ASSERT_OK_AND_ASSIGN(buffer_, engine_->RegisterMemory(MemoryRegion{
                                         .address = local_.data(),
                                         .length = local_.size(),
                                         .access = Access::kLocalOnly}));
  }

  SegmentId Open(const TargetProcess& target) {
    auto id = engine_->OpenSegment(target.segment(), kEnough);
    TE_EXPECT_OK(id);
    return id.value_or(SegmentId{});
  }

  // Requests that cover all of the target's memory.
  std::vector<Request> Everything(Operation operation, SegmentId segment,
                                  const TargetProcess& target) {
    std::vector<Request> requests;
    for (size_t offset = 0; offset < kBytes; offset += kBlock) {
      requests.push_back({.operation = operation,
                          .local = local_.data() + offset,
                          .segment = segment,
                          .remote_address = target.address() + offset,
                          .length = kBlock});
    }
    return requests;
  }

  Batch Submit(absl::Span<const Request> requests, Duration timeout) {
    SubmitOptions options;
    options.timeout = timeout;
    auto batch = engine_->Submit(requests, options);
    TE_EXPECT_OK(batch);
    return batch.ok() ? *std::move(batch) : Batch();
  }
  absl::Status Transfer(absl::Span<const Request> requests,
                        Duration timeout = kEnough) {
    Batch batch = Submit(requests, timeout);
    EXPECT_TRUE(batch.Wait(Soon()));
    return batch.status();
  }

  std::vector<std::byte> local_ =
      std::vector<std::byte>(kBytes, std::byte{0x5a});
  std::unique_ptr<TransferEngine> engine_;
  BufferId buffer_;
};

INSTANTIATE_TEST_SUITE_P(Protocols, FaultTest, testing::Values("tcp", "shm"),
                         [](const auto& info) { return info.param; });

// Where the peer's process takes part in each transfer.
class StoppedPeerTest : public FaultTest {};

INSTANTIATE_TEST_SUITE_P(Protocols, StoppedPeerTest, testing::Values("tcp"),
                         [](const auto& info) { return info.param; });

// With an engine that chooses by itself.
class ProtocolChangeTest : public FaultTest {
 protected:
  std::string RailInUse() { return engine_->Status().segments[0].rail; }
};

INSTANTIATE_TEST_SUITE_P(Protocols, ProtocolChangeTest, testing::Values("auto"),
                         [](const auto& info) { return info.param; });

// Where it does not.
class IdlePeerTest : public FaultTest {};

INSTANTIATE_TEST_SUITE_P(Protocols, IdlePeerTest, testing::Values("shm"),
                         [](const auto& info) { return info.param; });

TEST_P(FaultTest, AKilledPeerFailsItsOwnRequestsOnly) {
  for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
    auto victim = StartTarget();
    auto survivor = StartTarget();
    const SegmentId bad = Open(*victim);
    const SegmentId good = Open(*survivor);
    const auto to_victim = Everything(operation, bad, *victim);
    const auto to_survivor = Everything(operation, good, *survivor);
    // Keeps the connection busy, so that the kill comes in mid-batch.
    std::vector<Batch> batches;
    for (int i = 0; i < 8; ++i) batches.push_back(Submit(to_victim, kEnough));
    ASSERT_TRUE(batches[0].Wait(0, Soon()));
    victim->Kill();
    TE_EXPECT_OK(Transfer(to_survivor));
    // On a busy machine those may have been faster than the kill.
    batches.push_back(Submit(to_victim, kEnough));
    const auto fails =
        StatusIs(absl::StatusCode::kUnavailable, HasSubstr(victim->segment()));
    for (Batch& batch : batches) {
      ASSERT_TRUE(batch.Wait(Soon()));
      EXPECT_THAT(batch.status(), AnyOf(IsOk(), fails));
      for (size_t i = 0; i < to_victim.size(); ++i) {
        EXPECT_TRUE(batch.result(i).local_reusable);
      }
    }
    EXPECT_THAT(batches.back().status(), fails);
    TE_EXPECT_OK(Transfer(to_survivor));
  }
}

TEST_P(StoppedPeerTest, AStoppedPeerEndsByTheDeadlineAndRecovers) {
  for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
    auto target = StartTarget();
    const SegmentId segment = Open(*target);
    const auto requests = Everything(operation, segment, *target);
    TE_ASSERT_OK(Transfer(requests));
    target->Stop();
    const MonotonicTime begin = RealClock().Now();
    EXPECT_THAT(Transfer(requests, milliseconds(300)),
                StatusIs(absl::StatusCode::kDeadlineExceeded,
                         HasSubstr(target->segment())));
    EXPECT_LT(RealClock().Now() - begin, seconds(20));
    // The memory is ours again, whatever the peer does when it wakes up.
    std::fill(local_.begin(), local_.end(), std::byte{0x77});
    TE_EXPECT_OK(engine_->UnregisterMemory(buffer_, kEnough));
    target->Continue();
    TE_ASSERT_OK(target->Ask(absl::StrCat("crc 0 ", kBytes)));
    EXPECT_TRUE(std::all_of(local_.begin(), local_.end(),
                            [](std::byte b) { return b == std::byte{0x77}; }));
    TE_ASSERT_OK_AND_ASSIGN(buffer_, engine_->RegisterMemory(MemoryRegion{
                                         .address = local_.data(),
                                         .length = local_.size(),
                                         .access = Access::kLocalOnly}));
    TE_EXPECT_OK(Transfer(requests));
  }
}

// After a WRITE has timed out, what was still in the sockets must not overwrite
// what is written next.
TEST_P(StoppedPeerTest, LateBytesNeverOvertakeLaterOnes) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  const auto requests = Everything(Operation::kWrite, segment, *target);
  TE_ASSERT_OK(Transfer(requests));
  for (int round = 0; round < 5; ++round) {
    std::fill(local_.begin(), local_.end(), std::byte{0x11});
    target->Stop();
    EXPECT_THAT(Transfer(requests, milliseconds(100)),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    std::fill(local_.begin(), local_.end(), std::byte{0x22});
    target->Continue();
    TE_ASSERT_OK(Transfer(requests));
    EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
                IsOkAndHolds(absl::StrCat(
                    ExtendCrc32c(0, local_.data(), local_.size()))));
  }
}

// The same when the segment was closed and opened again in between.
TEST_P(StoppedPeerTest, BytesOfAClosedSegmentNeverOvertakeLaterOnes) {
  auto target = StartTarget();
  for (int round = 0; round < 5; ++round) {
    const SegmentId segment = Open(*target);
    std::fill(local_.begin(), local_.end(), std::byte{0x11});
    target->Stop();
    Batch batch =
        Submit(Everything(Operation::kWrite, segment, *target), kEnough);
    TE_EXPECT_OK(engine_->CloseSegment(segment));
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
    std::fill(local_.begin(), local_.end(), std::byte{0x22});
    target->Continue();
    const SegmentId again = Open(*target);
    TE_ASSERT_OK(Transfer(Everything(Operation::kWrite, again, *target)));
    EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
                IsOkAndHolds(absl::StrCat(
                    ExtendCrc32c(0, local_.data(), local_.size()))));
    TE_EXPECT_OK(engine_->CloseSegment(again));
  }
}

// Shared memory takes over from TCP, once there is room for one more. What TCP
// left seldom comes late enough to be seen here: that it is fenced is shown by
// TransportFallbackTest, and that a fence holds by TransportConformance.
TEST_P(ProtocolChangeTest, LateBytesOfOneNeverOvertakeThoseOfAnother) {
  for (int round = 0; round < 5; ++round) {
    // No more than one peer by shared memory.
    TE_ASSERT_OK_AND_ASSIGN(
        const std::unique_ptr<TargetProcess> target,
        TargetProcess::Start(
            {"127.0.0.1", absl::StrCat(kBytes), "read_write", "p2p", "", "1"}));
    Options options;
    options.local_server_name = "127.0.0.1";
    TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<TransferEngine> first,
                            CreateTransferEngine(options));
    TE_ASSERT_OK(first->OpenSegment(target->segment(), kEnough));
    const SegmentId segment = Open(*target);
    ASSERT_THAT(RailInUse(), HasSubstr("tcp to"));
    const auto requests = Everything(Operation::kWrite, segment, *target);
    std::fill(local_.begin(), local_.end(), std::byte{0x11});
    target->Stop();
    EXPECT_THAT(Transfer(requests, milliseconds(100)),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    first.reset();
    std::fill(local_.begin(), local_.end(), std::byte{0x22});
    target->Continue();
    TE_ASSERT_OK(Transfer(requests));
    EXPECT_THAT(RailInUse(), HasSubstr("shm to"));
    EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
                IsOkAndHolds(absl::StrCat(
                    ExtendCrc32c(0, local_.data(), local_.size()))));
    TE_EXPECT_OK(engine_->CloseSegment(segment));
  }
}

TEST_P(FaultTest, ARestartedPeerIsStaleAndOneReopenHeals) {
  auto target = StartTarget();
  const std::string name = target->segment();
  const SegmentId segment = Open(*target);
  TE_ASSERT_OK(Transfer(Everything(Operation::kWrite, segment, *target)));
  const auto requests = Everything(Operation::kWrite, segment, *target);
  target->Kill();
  target = StartTarget(name);
  ASSERT_EQ(target->segment(), name);
  const std::string untouched = *target->Ask(absl::StrCat("crc 0 ", kBytes));

  const absl::Status status = Transfer(requests);
  EXPECT_TRUE(IsStalePeer(status)) << status;
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
              IsOkAndHolds(untouched));

  EXPECT_EQ(Open(*target), segment);
  TE_EXPECT_OK(Transfer(Everything(Operation::kWrite, segment, *target)));
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
              IsOkAndHolds(
                  absl::StrCat(ExtendCrc32c(0, local_.data(), local_.size()))));
}

TEST_P(FaultTest, WhatThePeerUnregisteredIsRefused) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  const auto requests = Everything(Operation::kWrite, segment, *target);
  TE_ASSERT_OK(Transfer(requests));
  const std::string before = *target->Ask(absl::StrCat("crc 0 ", kBytes));
  EXPECT_THAT(target->Ask("unregister"), IsOkAndHolds("ok"));
  std::fill(local_.begin(), local_.end(), std::byte{0x33});
  EXPECT_THAT(Transfer(requests),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("registered")));
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
              IsOkAndHolds(before));
}

TEST_P(FaultTest, UnregisteringUnderLoadLetsNothingThroughAfterwards) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  const auto requests = Everything(Operation::kWrite, segment, *target);
  std::atomic<bool> refused = false;
  TE_ASSERT_OK_AND_ASSIGN(Thread load, Thread::Start({.name = "load"}, [&] {
                            while (!refused) {
                              refused = absl::IsNotFound(Transfer(requests));
                            }
                          }));
  EXPECT_THAT(target->Ask("unregister"), IsOkAndHolds("ok"));
  const std::string after = *target->Ask(absl::StrCat("crc 0 ", kBytes));
  load.Join();
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)), IsOkAndHolds(after));
}

TEST_P(FaultTest, ReadOnlyMemoryIsNotWritten) {
  auto target = StartTarget("127.0.0.1", "read_only");
  const SegmentId segment = Open(*target);
  const std::string before = *target->Ask(absl::StrCat("crc 0 ", kBytes));
  EXPECT_THAT(Transfer(Everything(Operation::kWrite, segment, *target)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
              IsOkAndHolds(before));
  TE_EXPECT_OK(Transfer(Everything(Operation::kRead, segment, *target)));
}

TEST_P(FaultTest, CancelEndsWhatHasNotBeenSent) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  auto requests = Everything(Operation::kWrite, segment, *target);
  // More than the window and the sockets hold, so that some cannot be sent.
  for (int i = 0; i < 2; ++i) {
    const auto copy = requests;
    requests.insert(requests.end(), copy.begin(), copy.end());
  }
  target->Stop();
  Batch batch = Submit(requests, kEnough);
  batch.Cancel();
  target->Continue();
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(batch.result(requests.size() - 1).local_reusable);
  TE_EXPECT_OK(Transfer(Everything(Operation::kRead, segment, *target)));
}

TEST_P(StoppedPeerTest, UnregisteringAgainstAStoppedPeerIsBounded) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  target->Stop();
  Batch batch =
      Submit(Everything(Operation::kWrite, segment, *target), kEnough);
  TE_EXPECT_OK(engine_->UnregisterMemory(buffer_, milliseconds(100)));
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_P(StoppedPeerTest, DestroyingTheEngineEndsWhatIsUnderWay) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  target->Stop();
  Batch batch = Submit(Everything(Operation::kRead, segment, *target), kEnough);
  engine_.reset();
  ASSERT_TRUE(batch.finished());
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

// Nobody needs it to read and write its memory.
TEST_P(IdlePeerTest, SharedMemoryIsReachedWhileItsOwnerIsStopped) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  target->Stop();
  TE_EXPECT_OK(Transfer(Everything(Operation::kWrite, segment, *target)));
  target->Continue();
  EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
              IsOkAndHolds(
                  absl::StrCat(ExtendCrc32c(0, local_.data(), local_.size()))));
}

TEST_P(FaultTest, ANotificationArrivesOnceAfterTheData) {
  auto target = StartTarget();
  const SegmentId segment = Open(*target);
  for (int i = 0; i < 20; ++i) {
    std::fill(local_.begin(), local_.end(), static_cast<std::byte>(i));
    SubmitOptions options;
    options.notification = {.name = "kv", .message = absl::StrCat("block", i)};
    TE_ASSERT_OK_AND_ASSIGN(
        Batch batch,
        engine_->Submit(Everything(Operation::kWrite, segment, *target),
                        options));
    EXPECT_THAT(target->Ask("notification"),
                IsOkAndHolds(absl::StrCat("kv block", i)));
    EXPECT_THAT(target->Ask(absl::StrCat("crc 0 ", kBytes)),
                IsOkAndHolds(absl::StrCat(
                    ExtendCrc32c(0, local_.data(), local_.size()))));
    ASSERT_TRUE(batch.Wait(Soon()));
    TE_EXPECT_OK(batch.notification_status());
  }
}

}  // namespace
}  // namespace te
