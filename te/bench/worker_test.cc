#include "te/bench/worker.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/bench/pattern.h"
#include "te/transfer_engine.h"

namespace te::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr size_t kSize = 1 << 20;

class WorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.engine.default_timeout = seconds(10);
    TE_ASSERT_OK_AND_ASSIGN(target_, CreateTransferEngine(options));
    TE_ASSERT_OK_AND_ASSIGN(initiator_, CreateTransferEngine(options));
    FillPattern(absl::MakeSpan(remote_), kTargetSeed, 0);
    TE_ASSERT_OK(target_->RegisterMemory(
        MemoryRegion{.address = remote_.data(), .length = kSize}));
    TE_ASSERT_OK(initiator_->RegisterMemory(
        MemoryRegion{.address = local_.data(), .length = kSize}));
    TE_ASSERT_OK_AND_ASSIGN(
        segment_,
        initiator_->OpenSegment(target_->segment_name(), seconds(10)));
  }

  std::unique_ptr<Worker> Make(Traffic traffic, Verify verify) {
    const Workload workload{
        .traffic = traffic, .block_size = 5000, .batch_size = 7, .threads = 3};
    const WorkerPlace place{
        .segment = segment_,
        .local = local_.data(),
        .remote = reinterpret_cast<uint64_t>(remote_.data())};
    return std::make_unique<Worker>(*initiator_, place, workload, 2, verify);
  }

  void Run(Worker& worker) {
    worker.Prepare();
    worker.Measure(DeadlineAfter(RealClock().Now(), milliseconds(20)), stop_);
    worker.Finish();
  }

  absl::Status WriteToTarget(std::byte& local, size_t offset) {
    const Request write = {
        .operation = Operation::kWrite,
        .local = &local,
        .segment = segment_,
        .remote_address = reinterpret_cast<uint64_t>(remote_.data()) + offset,
        .length = 1};
    TE_ASSIGN_OR_RETURN(Batch batch, initiator_->Submit({&write, 1}));
    batch.Wait(kNoDeadline);
    return batch.status();
  }

  bool TargetIsSeeded() const {
    return !FindMismatch(remote_, kTargetSeed, 0).has_value();
  }

  std::vector<std::byte> remote_{kSize};
  std::vector<std::byte> local_{kSize};
  std::unique_ptr<TransferEngine> target_;
  std::unique_ptr<TransferEngine> initiator_;
  SegmentId segment_;
  std::atomic<bool> stop_{false};
};

TEST_F(WorkerTest, MeasuresAndLeavesTheTargetAsItWas) {
  for (Traffic traffic : {Traffic::kRead, Traffic::kWrite, Traffic::kMix}) {
    for (Verify verify : {Verify::kOff, Verify::kSpot, Verify::kEveryBatch}) {
      SCOPED_TRACE(std::string(TrafficName(traffic)) + " verify " +
                   std::to_string(static_cast<int>(verify)));
      const auto worker = Make(traffic, verify);
      Run(*worker);
      EXPECT_EQ(worker->errors(), 0u);
      EXPECT_GT(worker->batches(), 0u);
      EXPECT_EQ(worker->latency().count(), worker->batches());
      EXPECT_EQ(worker->bytes(), worker->batches() * 7 * 5000);
      EXPECT_EQ(
          worker->verified_bytes(),
          verify == Verify::kOff
              ? 0
              : 7 * 5000 *
                    (verify == Verify::kSpot ? 2 : worker->batches() + 2));
      EXPECT_TRUE(TargetIsSeeded());
    }
  }
}

TEST_F(WorkerTest, StopsWhenItIsTold) {
  const auto worker = Make(Traffic::kRead, Verify::kOff);
  worker->Prepare();
  stop_.store(true);
  worker->Measure(kNoDeadline, stop_);
  EXPECT_EQ(worker->batches(), 0u);
}

TEST_F(WorkerTest, SeedsAnewWhatAnEarlierRunLeft) {
  FillPattern(absl::MakeSpan(remote_), 77, 0);
  const auto worker = Make(Traffic::kWrite, Verify::kEveryBatch);
  Run(*worker);
  EXPECT_EQ(worker->errors(), 0u);
  EXPECT_GT(worker->verified_bytes(), 0u);
}

TEST_F(WorkerTest, AReaderLeavesAloneWhatAnotherRunMayBeWriting) {
  FillPattern(absl::MakeSpan(remote_), 77, 0);
  const auto worker = Make(Traffic::kRead, Verify::kEveryBatch);
  Run(*worker);
  EXPECT_EQ(worker->errors(), 1u);
  EXPECT_THAT(worker->failures().ToString(),
              HasSubstr("FAILED_PRECONDITION: the target's memory is not as it "
                        "was seeded at offset 10000 of"));
  EXPECT_FALSE(FindMismatch(remote_, 77, 0).has_value());
}

TEST_F(WorkerTest, FindsWrongData) {
  const auto worker = Make(Traffic::kRead, Verify::kSpot);
  worker->Prepare();
  // The second block of thread 2 of 3.
  constexpr size_t kWrong = (1 * 3 + 2) * 5000 + 8;
  std::byte& local = local_[kSize - 1];
  local = ~remote_[kWrong];
  // As another process would, since ThreadSanitizer takes the target's sending
  // of what the worker has read to last longer than the worker's reading.
  TE_ASSERT_OK(WriteToTarget(local, kWrong));
  worker->Finish();
  EXPECT_EQ(worker->errors(), 1u);
  ASSERT_EQ(worker->failures().kinds().size(), 1u);
  EXPECT_THAT(worker->failures().ToString(),
              HasSubstr("READ of 5000 bytes at offset 25000: DATA_LOSS: wrong "
                        "data at offset 25008 of the target's buffer: "
                        "expected"));
}

TEST_F(WorkerTest, TellsWhichRequestsFailed) {
  const auto worker = Make(Traffic::kWrite, Verify::kOff);
  worker->Prepare();
  ASSERT_EQ(worker->errors(), 0u);
  target_.reset();
  worker->Measure(DeadlineAfter(RealClock().Now(), seconds(30)), stop_);
  EXPECT_EQ(worker->errors(), 7u);
  ASSERT_FALSE(worker->failures().kinds().empty());
  const RequestFailure& failure = worker->failures().kinds()[0];
  EXPECT_EQ(failure.operation, Operation::kWrite);
  EXPECT_EQ(failure.length, 5000u);
  EXPECT_FALSE(failure.status.ok());
}

}  // namespace
}  // namespace te::bench
