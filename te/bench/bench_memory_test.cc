#include "te/bench/bench_memory.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/bench/memory_source.h"
#include "te/topology/numa_node.h"
#include "te/transfer_engine.h"

namespace te::bench {
namespace {

using testing::HasSubstr;

constexpr uint64_t kBytes = 1 << 20;
constexpr Duration kEnough = std::chrono::seconds(60);

const std::vector<NumaNode> kNodes = {NumaNode{}};

std::unique_ptr<TransferEngine> StartEngine() {
  Options options;
  options.local_server_name = "127.0.0.1";
  options.protocol = "tcp";
  auto engine = CreateTransferEngine(options);
  TE_EXPECT_OK(engine);
  return engine.ok() ? *std::move(engine) : nullptr;
}

class BenchMemoryTest : public testing::TestWithParam<MemorySource> {};

INSTANTIATE_TEST_SUITE_P(Sources, BenchMemoryTest,
                         testing::Values(MemorySource::kUser,
                                         MemorySource::kEngine));

TEST_P(BenchMemoryTest, IsFilledAndUsableWhileAnEngineHasIt) {
  TE_ASSERT_OK_AND_ASSIGN(BenchMemory memory,
                          BenchMemory::Create(GetParam(), kNodes, kBytes));
  const auto engine = StartEngine();
  for (int i = 0; i < 2; ++i) {
    TE_ASSERT_OK(memory.AddTo(
        *engine, Access::kRemoteReadWrite,
        [](absl::Span<std::byte> bytes) { bytes.back() = std::byte{7}; }));
    ASSERT_EQ(memory.buffers().size(), 1u);
    ASSERT_EQ(memory.buffers()[0].bytes.size(), kBytes);
    EXPECT_EQ(memory.buffers()[0].bytes.back(), std::byte{7});
    EXPECT_EQ(engine->Status().buffers, 1u);
    TE_ASSERT_OK(memory.RemoveFrom(*engine, kEnough));
    EXPECT_EQ(engine->Status().buffers, 0u);
  }
}

TEST_P(BenchMemoryTest, MayOutliveTheEngine) {
  TE_ASSERT_OK_AND_ASSIGN(BenchMemory memory,
                          BenchMemory::Create(GetParam(), kNodes, kBytes));
  auto engine = StartEngine();
  TE_ASSERT_OK(memory.AddTo(*engine, Access::kLocalOnly));
  engine.reset();
  const BenchMemory moved = std::move(memory);
  EXPECT_EQ(moved.buffers().size(), 1u);
}

TEST(EnginesMemoryTest, IsOfThatEngine) {
  const size_t before = CountMappings("memfd:te");
  TE_ASSERT_OK_AND_ASSIGN(
      BenchMemory memory,
      BenchMemory::Create(MemorySource::kEngine, kNodes, kBytes));
  EXPECT_TRUE(memory.buffers()[0].bytes.empty());
  auto engine = StartEngine();
  TE_ASSERT_OK(memory.AddTo(*engine, Access::kLocalOnly));
  EXPECT_EQ(CountMappings("memfd:te"), before + 1);
  engine.reset();
  EXPECT_EQ(CountMappings("memfd:te"), before);
}

TEST(EnginesMemoryTest, WhatCannotBeHadIsExplainedInTermsOfTheFlags) {
  TE_ASSERT_OK_AND_ASSIGN(
      BenchMemory memory,
      BenchMemory::Create(MemorySource::kEngine, kNodes, uint64_t{1} << 46));
  const auto engine = StartEngine();
  EXPECT_THAT(memory.AddTo(*engine, Access::kLocalOnly),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("--memory=engine, --buffer_size=70368744")));
  TE_EXPECT_OK(memory.RemoveFrom(*engine, kEnough));
}

}  // namespace
}  // namespace te::bench
