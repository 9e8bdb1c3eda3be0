#include "te/bench/workload_run.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/pattern.h"
#include "te/transfer_engine.h"

namespace te::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kSize = 1 << 20;

class WorkloadRunTest : public testing::TestWithParam<Verify> {
 protected:
  void SetUp() override {
    Options options;
    options.local_server_name = "127.0.0.1";
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

  std::vector<std::byte> remote_{kSize};
  std::vector<std::byte> local_{kSize};
  std::unique_ptr<TransferEngine> target_;
  std::unique_ptr<TransferEngine> initiator_;
  SegmentId segment_;
};

// While one thread looks at data, another one transfers.
TEST_P(WorkloadRunTest, TheRateIsOverTheWholeTime) {
  const Workload workload{.traffic = Traffic::kMix,
                          .block_size = 64 << 10,
                          .batch_size = 4,
                          .threads = 3};
  const WorkloadRun::Place place = {
      .worker = {.segment = segment_,
                 .local = local_.data(),
                 .remote = reinterpret_cast<uint64_t>(remote_.data())},
      .cpus = {}};
  const std::vector<WorkloadRun::Place> places(workload.threads, place);
  TE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<WorkloadRun> run,
                          WorkloadRun::Start(*initiator_, places, workload,
                                             milliseconds(50), GetParam()));
  run->Join();
  const Row row = run->Result();
  EXPECT_EQ(row.errors, 0u);
  EXPECT_EQ(row.bytes, run->bytes());
  EXPECT_GE(row.duration_s, 0.05);
  EXPECT_DOUBLE_EQ(row.duration_s,
                   std::chrono::duration<double>(run->elapsed()).count());
}

INSTANTIATE_TEST_SUITE_P(Verify, WorkloadRunTest,
                         testing::Values(Verify::kOff, Verify::kSpot,
                                         Verify::kEveryBatch));

}  // namespace
}  // namespace te::bench
