#include "te/bench/loopback.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/memory_source.h"
#include "te/bench/target.h"

namespace te::bench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST(LoopbackTest, TheTargetGetsTheSameEngine) {
  FlagValues flags;
  flags.tcp_streams = 3;
  flags.checksum = true;
  flags.spin_us = 20;
  flags.max_spin_us = 300;
  flags.tcp_window = "1M";
  flags.memory = "engine";
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  const std::vector<std::string> arguments = TargetArguments(options);
  EXPECT_THAT(arguments, Contains("--tcp_streams=3"));
  EXPECT_THAT(arguments, Contains("--checksum=true"));
  EXPECT_THAT(arguments, Contains("--spin_us=20"));
  EXPECT_THAT(arguments, Contains("--max_spin_us=300"));
  EXPECT_THAT(arguments, Contains("--tcp_window=1048576"));
  EXPECT_THAT(arguments, Contains("--buffer_size=67108864"));
  EXPECT_THAT(arguments, Contains("--memory=engine"));
}

TEST(LoopbackTest, TheTargetGetsTheFlagsOfItsTransportAlone) {
  FlagValues flags;
  flags.protocol = "rdma";
  flags.gid_index = 3;
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  const std::vector<std::string> arguments = TargetArguments(options);
  EXPECT_THAT(arguments, Contains("--protocol=rdma"));
  EXPECT_THAT(arguments, Contains("--gid_index=3"));
  EXPECT_THAT(arguments, Not(Contains(HasSubstr("--tcp_"))));
}

TEST(LoopbackTest, AutoIsEachTransport) {
  EXPECT_THAT(ProtocolsToMeasure("auto"), ElementsAre("rdma", "shm", "tcp"));
  EXPECT_THAT(ProtocolsToMeasure("rdma"), ElementsAre("rdma"));
  EXPECT_THAT(ProtocolsToMeasure("tcp"), ElementsAre("tcp"));
}

TEST(InitiatorCommandTest, SaysOnlyWhatIsNeeded) {
  BenchOptions options;
  options.buffer_size = uint64_t{1} << 30;
  EXPECT_EQ(InitiatorCommand("bench", options, "[::1]:9000"),
            "bench --mode=initiator --metadata_server=p2p "
            "--segment_id=[::1]:9000");
  options.engine.protocol = "tcp";
  options.buffer_size = 1 << 20;
  EXPECT_EQ(InitiatorCommand("bench", options, "h:1"),
            "bench --mode=initiator --metadata_server=p2p --segment_id=h:1 "
            "--protocol=tcp --buffer_size=1048576");
  options.memory = MemorySource::kEngine;
  EXPECT_THAT(InitiatorCommand("bench", options, "h:1"),
              EndsWith(" --buffer_size=1048576 --memory=engine"));
}

}  // namespace
}  // namespace te::bench
