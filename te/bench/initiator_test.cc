#include "te/bench/initiator.h"

#include <signal.h>

#include <chrono>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/bench_memory.h"
#include "te/bench/memory_source.h"
#include "te/topology/numa_node.h"
#include "te/transfer_engine.h"

namespace te::bench {
namespace {

using testing::HasSubstr;

const std::vector<NumaNode> kNodes = {NumaNode{}};

class CountingReport final : public Report {
 public:
  void Add(const Row&) override { ++rows; }
  void Finish() override {}

  int rows = 0;
};

class InitiatorTest : public testing::TestWithParam<MemorySource> {};

INSTANTIATE_TEST_SUITE_P(Sources, InitiatorTest,
                         testing::Values(MemorySource::kUser,
                                         MemorySource::kEngine));

TEST_P(InitiatorTest, ARunThatIsStoppedBeforeItsFirstBatchHasNoRow) {
  // First, because threads inherit what it blocks.
  TE_ASSERT_OK_AND_ASSIGN(program::StopSignal stop,
                          program::StopSignal::Create());
  BenchOptions options;
  options.engine.local_server_name = "127.0.0.1";
  // So large that the signal is seen before a batch is done.
  options.workloads = {{.traffic = Traffic::kRead,
                        .block_size = 64 << 20,
                        .batch_size = 1,
                        .threads = 1}};
  options.duration = std::chrono::seconds(600);
  options.buffer_size = 64 << 20;
  TE_ASSERT_OK_AND_ASSIGN(
      BenchMemory local,
      BenchMemory::Create(GetParam(), kNodes, options.buffer_size));
  TE_ASSERT_OK_AND_ASSIGN(
      BenchMemory remote,
      BenchMemory::Create(GetParam(), kNodes, options.buffer_size));
  TE_ASSERT_OK_AND_ASSIGN(const auto target,
                          CreateTransferEngine(options.engine));
  TE_ASSERT_OK(remote.AddTo(*target, Access::kRemoteReadWrite));
  TE_ASSERT_OK_AND_ASSIGN(const auto engine,
                          CreateTransferEngine(options.engine));
  TE_ASSERT_OK_AND_ASSIGN(const auto initiator,
                          Initiator::Create(*engine, options, local, stop));
  TE_ASSERT_OK(initiator->Connect(target->segment_name()));
  EXPECT_EQ(engine->Status().buffers, 1u);
  raise(SIGHUP);
  CountingReport report;
  EXPECT_THAT(initiator->Run(report),
              StatusIs(absl::StatusCode::kCancelled,
                       HasSubstr("stopped by signal 1 before the end")));
  EXPECT_EQ(report.rows, 0);
}

}  // namespace
}  // namespace te::bench
