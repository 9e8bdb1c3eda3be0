#include "te/bench/bench_options.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

FlagValues Initiator() {
  FlagValues flags;
  flags.segment_id = "127.0.0.1:9000";
  flags.given = {"segment_id"};
  return flags;
}

struct BadFlag {
  // The flag that the error names, and that `set` makes wrong.
  std::string flag;
  std::function<void(FlagValues&)> set;
  // What the error says besides.
  std::string why;
};

class BadFlagTest : public testing::TestWithParam<BadFlag> {};

TEST_P(BadFlagTest, IsNamedWithTheReason) {
  FlagValues flags = Initiator();
  GetParam().set(flags);
  flags.given.insert(GetParam().flag);
  EXPECT_THAT(MakeBenchOptions(flags),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(
                           testing::StartsWith("--" + GetParam().flag + ": "),
                           HasSubstr(GetParam().why))));
}

INSTANTIATE_TEST_SUITE_P(
    Who, BadFlagTest,
    testing::Values(
        BadFlag{"mode", [](auto& f) { f.mode = "server"; },
                "target|initiator|loopback"},
        BadFlag{"protocol", [](auto& f) { f.protocol = "udp"; }, "auto, tcp"},
        BadFlag{"protocol", [](auto& f) { f.protocol = ""; }, "no protocol"},
        BadFlag{"protocol", [](auto& f) { f.protocol = "rdma"; },
                "there are auto, tcp"},
        BadFlag{"metadata_server",
                [](auto& f) { f.metadata_server = "etcd://h"; },
                "unknown metadata server \"etcd\""},
        BadFlag{"metadata_server",
                [](auto& f) { f.metadata_server = "redis://h:0"; }, "port 0"},
        BadFlag{"metadata_server",
                [](auto& f) { f.metadata_server = "rediss://h"; }, "TLS"},
        BadFlag{"local_server_name",
                [](auto& f) { f.local_server_name = "[:"; }, "malformed"},
        BadFlag{"local_server_name",
                [](auto& f) {
                  f.segment_id = "";
                  f.local_server_name = "127.0.0.1:9000";
                },
                "in loopback mode both sides take a free one"},
        BadFlag{"segment_id", [](auto& f) { f.mode = "target"; },
                "a target has its own"},
        BadFlag{"segment_id", [](auto& f) { f.segment_id = "127.0.0.1:0"; },
                "no target has port 0"},
        BadFlag{"segment_id", [](auto& f) { f.segment_id = "host"; },
                "lacks the port"},
        BadFlag{"segment_id", [](auto& f) { f.segment_id = "::1:9:x"; },
                "malformed"},
        BadFlag{"segment_id",
                [](auto& f) {
                  f.mode = "initiator";
                  f.segment_id = "";
                },
                "an initiator needs it"},
        BadFlag{"segment_id", [](auto& f) { f.mode = "loopback"; },
                "loopback has its own"}));

INSTANTIATE_TEST_SUITE_P(
    What, BadFlagTest,
    testing::Values(
        BadFlag{"operation", [](auto& f) { f.operation = "delete"; },
                "read|write|mix"},
        BadFlag{"block_size", [](auto& f) { f.block_size = "0"; },
                "out of range"},
        BadFlag{"block_size", [](auto& f) { f.block_size = "64X"; }, "\"64X\""},
        BadFlag{"block_size", [](auto& f) { f.block_size = "2G"; },
                "2 GiB is more than the buffer has, 1 GiB; see --buffer_size"},
        BadFlag{"block_size", [](auto& f) { f.block_size = "1T"; },
                "out of range"},
        BadFlag{"block_sizes", [](auto& f) { f.block_sizes = "4K,,1M"; },
                "\"\""},
        BadFlag{"block_size",
                [](auto& f) {
                  f.block_sizes = "4K";
                  f.given.insert("block_sizes");
                },
                "together with --block_sizes"},
        BadFlag{"batch_size", [](auto& f) { f.batch_size = 0; },
                "out of range"},
        BadFlag{"batch_size", [](auto& f) { f.batch_size = 1 << 20; },
                "out of range"},
        BadFlag{"batch_sizes", [](auto& f) { f.batch_sizes = "1,x"; }, "\"x\""},
        BadFlag{"threads", [](auto& f) { f.threads = 0; }, "out of range"},
        BadFlag{"threads", [](auto& f) { f.threads = -1; }, "out of range"},
        BadFlag{"thread_counts", [](auto& f) { f.thread_counts = "1,0"; },
                "out of range"},
        BadFlag{"duration", [](auto& f) { f.duration = 0; }, "out of range"},
        BadFlag{"duration",
                [](auto& f) {
                  f.duration = std::numeric_limits<double>::quiet_NaN();
                },
                "out of range"},
        BadFlag{"buffer_size", [](auto& f) { f.buffer_size = "0"; },
                "out of range"},
        BadFlag{"buffer_size", [](auto& f) { f.buffer_size = "64M"; },
                "12 threads x 128 requests x 64 KiB, which need 96 MiB"}));

INSTANTIATE_TEST_SUITE_P(
    Output, BadFlagTest,
    testing::Values(
        BadFlag{"format", [](auto& f) { f.format = "xml"; }, "text|json"},
        BadFlag{"report_unit", [](auto& f) { f.report_unit = "TB"; },
                "GB|GiB|Gb"},
        BadFlag{"report_precision", [](auto& f) { f.report_precision = -1; },
                "out of range"},
        BadFlag{"report_precision", [](auto& f) { f.report_precision = 10; },
                "out of range"},
        BadFlag{"ready_fd", [](auto& f) { f.ready_fd = -2; }, "out of range"},
        BadFlag{"lifeline_fd", [](auto& f) { f.lifeline_fd = 1LL << 40; },
                "from -1 to 2147483647"}));

INSTANTIATE_TEST_SUITE_P(
    Engine, BadFlagTest,
    testing::Values(
        BadFlag{"slice_size", [](auto& f) { f.slice_size = "1K"; },
                "out of range"},
        BadFlag{"max_attempts", [](auto& f) { f.max_attempts = 0; },
                "out of range"},
        BadFlag{"request_timeout", [](auto& f) { f.request_timeout = 0; },
                "from 0.001 to 1000000"},
        BadFlag{"connect_timeout", [](auto& f) { f.connect_timeout = -1; },
                "out of range"},
        BadFlag{"peer_timeout", [](auto& f) { f.peer_timeout = 1e9; },
                "out of range"},
        BadFlag{"spin_us", [](auto& f) { f.spin_us = -1; }, "out of range"},
        BadFlag{"tcp_streams", [](auto& f) { f.tcp_streams = 0; },
                "out of range"},
        BadFlag{"tcp_io_threads", [](auto& f) { f.tcp_io_threads = 65; },
                "out of range"},
        BadFlag{"tcp_window", [](auto& f) { f.tcp_window = "0"; },
                "from 65536 to 4294967296 bytes"},
        BadFlag{"peer_timeout", [](auto& f) { f.peer_timeout = 0.5; },
                "from 1 to 86400"},
        BadFlag{"tcp_socket_buffer",
                [](auto& f) { f.tcp_socket_buffer = "4G"; }, "out of range"}));

TEST(BenchOptionsTest, NothingGivenIsAShortLoopbackSweep) {
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                          MakeBenchOptions(FlagValues()));
  EXPECT_EQ(options.mode, Mode::kLoopback);
  EXPECT_EQ(options.verify, Verify::kSpot);
  EXPECT_EQ(options.duration, seconds(1));
  EXPECT_EQ(options.buffer_size, uint64_t{64} << 20);
  ASSERT_EQ(options.workloads.size(), 14u);
  EXPECT_EQ(options.workloads.front(), (Workload{.traffic = Traffic::kRead,
                                                 .block_size = 4096,
                                                 .batch_size = 128,
                                                 .threads = 1}));
  EXPECT_EQ(options.workloads.back(), (Workload{.traffic = Traffic::kWrite,
                                                .block_size = 16 << 20,
                                                .batch_size = 4,
                                                .threads = 1}));
}

TEST(BenchOptionsTest, LoopbackMakesRoomForWhatIsGiven) {
  FlagValues flags;
  flags.block_size = "16M";
  flags.batch_size = 16;
  flags.given = {"block_size", "batch_size"};
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  EXPECT_EQ(options.workloads.size(), 2u);
  EXPECT_EQ(options.buffer_size, uint64_t{256} << 20);
}

TEST(BenchOptionsTest, ASegmentMakesAnInitiatorWithTheWellKnownDefaults) {
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                          MakeBenchOptions(Initiator()));
  EXPECT_EQ(options.mode, Mode::kInitiator);
  EXPECT_EQ(options.segment, "127.0.0.1:9000");
  EXPECT_EQ(options.verify, Verify::kOff);
  EXPECT_EQ(options.duration, seconds(10));
  EXPECT_EQ(options.buffer_size, uint64_t{1} << 30);
  EXPECT_EQ(options.precision, 2);
  EXPECT_EQ(options.unit.name, "GB");
  EXPECT_THAT(options.workloads, ElementsAre(Workload{.traffic = Traffic::kRead,
                                                      .block_size = 65536,
                                                      .batch_size = 128,
                                                      .threads = 12}));
}

TEST(BenchOptionsTest, ATargetNeedsNoRoomForRequests) {
  FlagValues flags;
  flags.mode = "target";
  flags.buffer_size = "1M";
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  EXPECT_EQ(options.mode, Mode::kTarget);
  EXPECT_EQ(options.buffer_size, uint64_t{1} << 20);
}

TEST(BenchOptionsTest, SweepsAreAllCombinations) {
  FlagValues flags = Initiator();
  flags.block_sizes = "4K,1M";
  flags.batch_sizes = "1,16";
  flags.thread_counts = "1,2";
  flags.given.insert({"block_sizes", "batch_sizes", "thread_counts"});
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  ASSERT_EQ(options.workloads.size(), 8u);
  EXPECT_EQ(options.workloads[1], (Workload{.traffic = Traffic::kRead,
                                            .block_size = 1 << 20,
                                            .batch_size = 1,
                                            .threads = 1}));
  EXPECT_EQ(options.workloads[6], (Workload{.traffic = Traffic::kRead,
                                            .block_size = 4096,
                                            .batch_size = 16,
                                            .threads = 2}));
}

TEST(BenchOptionsTest, EngineFlagsReachTheEngine) {
  FlagValues flags = Initiator();
  flags.metadata_server = "P2PHANDSHAKE";
  flags.local_server_name = "[::1]:0";
  flags.protocol = "tcp";
  flags.slice_size = "64K";
  flags.max_attempts = 7;
  flags.request_timeout = 2.5;
  flags.connect_timeout = 0.5;
  flags.spin_us = 20;
  flags.tcp_streams = 2;
  flags.tcp_io_threads = 3;
  flags.tcp_window = "1M";
  flags.tcp_socket_buffer = "256K";
  flags.checksum = true;
  flags.peer_timeout = 4;
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  const Options& engine = options.engine;
  EXPECT_EQ(engine.metadata_server, "p2p");
  EXPECT_EQ(engine.local_server_name, "[::1]:0");
  EXPECT_EQ(engine.protocol, "tcp");
  EXPECT_EQ(engine.engine.slice_bytes, 65536u);
  EXPECT_EQ(engine.engine.max_slice_attempts, 7u);
  EXPECT_EQ(engine.engine.default_timeout, milliseconds(2500));
  EXPECT_EQ(engine.engine.connect_timeout, milliseconds(500));
  EXPECT_EQ(engine.engine.spin, std::chrono::microseconds(20));
  EXPECT_EQ(engine.tcp.spin, std::chrono::microseconds(20));
  EXPECT_EQ(engine.tcp.streams_per_peer, 2);
  EXPECT_EQ(engine.tcp.io_threads, 3);
  EXPECT_EQ(engine.tcp.window_bytes, uint64_t{1} << 20);
  EXPECT_EQ(engine.tcp.socket_buffer_bytes, 256 << 10);
  EXPECT_TRUE(engine.tcp.checksum);
  EXPECT_EQ(engine.tcp.peer_timeout, seconds(4));
}

TEST(BenchOptionsTest, PeersCannotFillTheMemoryWithNotifications) {
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                          MakeBenchOptions(Initiator()));
  EXPECT_EQ(options.engine.engine.max_notifications, 1u);
}

TEST(BenchOptionsTest, DefaultsAreTheEnginesOwn) {
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                          MakeBenchOptions(FlagValues()));
  const Options defaults;
  EXPECT_EQ(options.engine.engine.slice_bytes, defaults.engine.slice_bytes);
  EXPECT_EQ(options.engine.engine.spin, defaults.engine.spin);
  EXPECT_EQ(options.engine.engine.default_timeout,
            defaults.engine.default_timeout);
  EXPECT_EQ(options.engine.tcp.streams_per_peer, defaults.tcp.streams_per_peer);
  EXPECT_EQ(options.engine.tcp.window_bytes, defaults.tcp.window_bytes);
  EXPECT_EQ(options.engine.tcp.peer_timeout, defaults.tcp.peer_timeout);
}

TEST(BenchOptionsTest, VerifyChecksEveryBatchAndNoverifyNone) {
  FlagValues flags;
  flags.verify = true;
  flags.given = {"verify"};
  EXPECT_EQ(MakeBenchOptions(flags)->verify, Verify::kEveryBatch);
  flags.verify = false;
  EXPECT_EQ(MakeBenchOptions(flags)->verify, Verify::kOff);
}

}  // namespace
}  // namespace te::bench
