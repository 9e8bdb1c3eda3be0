#include "te/bench/bench_options.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/memory_source.h"

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
        BadFlag{"protocol", [](auto& f) { f.protocol = "udp"; },
                "auto, rdma, shm, tcp"},
        BadFlag{"protocol", [](auto& f) { f.protocol = ""; }, "no protocol"},
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
        BadFlag{"memory", [](auto& f) { f.memory = "gpu"; }, "user|engine"},
        BadFlag{"memory", [](auto& f) { f.memory = ""; }, "\"\" is no source"},
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
        BadFlag{"max_spin_us", [](auto& f) { f.max_spin_us = 2e6; },
                "out of range"},
        BadFlag{"shm_workers", [](auto& f) { f.shm_workers = 65; },
                "out of range"},
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

INSTANTIATE_TEST_SUITE_P(
    Rdma, BadFlagTest,
    testing::Values(
        BadFlag{"ib_port", [](auto& f) { f.ib_port = 256; }, "from 0 to 255"},
        BadFlag{"gid_index", [](auto& f) { f.gid_index = -2; },
                "from -1 to 255"},
        BadFlag{"mtu", [](auto& f) { f.mtu = 1500; },
                "1500 is no MTU of RDMA; there are 256, 512, 1024, 2048, 4096"},
        BadFlag{"num_qp", [](auto& f) { f.num_qp = 0; }, "from 1 to 64"},
        BadFlag{"max_wr", [](auto& f) { f.max_wr = 8; }, "from 16 to 16384"},
        BadFlag{"max_sge", [](auto& f) { f.max_sge = 17; }, "from 1 to 16"},
        BadFlag{"max_inline", [](auto& f) { f.max_inline = 2048; },
                "from 0 to 1024"},
        BadFlag{"max_endpoints", [](auto& f) { f.max_endpoints = 0; },
                "from 1 to 65536"},
        BadFlag{"max_read_depth", [](auto& f) { f.max_read_depth = 0; },
                "from 1 to 255"},
        BadFlag{"rdma_window", [](auto& f) { f.rdma_window = "4K"; },
                "from 65536 to 4294967296 bytes"},
        BadFlag{"traffic_class", [](auto& f) { f.traffic_class = 256; },
                "from 0 to 255"},
        BadFlag{"service_level", [](auto& f) { f.service_level = 16; },
                "from 0 to 15"},
        BadFlag{"pkey_index", [](auto& f) { f.pkey_index = 1 << 16; },
                "from 0 to 65535"},
        BadFlag{"ack_timeout", [](auto& f) { f.ack_timeout = 0; },
                "from 1 to 31"},
        BadFlag{"retry_count", [](auto& f) { f.retry_count = 8; },
                "from 0 to 7"},
        BadFlag{"work_timeout", [](auto& f) { f.work_timeout = 0.01; },
                "from 0.1 to 3600"}));

TEST(BenchOptionsTest, NothingGivenIsAShortLoopbackSweep) {
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options,
                          MakeBenchOptions(FlagValues()));
  EXPECT_EQ(options.mode, Mode::kLoopback);
  EXPECT_EQ(options.verify, Verify::kSpot);
  EXPECT_EQ(options.memory, MemorySource::kUser);
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
  flags.max_spin_us = 300;
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
  EXPECT_EQ(engine.engine.max_spin, std::chrono::microseconds(300));
  EXPECT_EQ(engine.tcp.spin, std::chrono::microseconds(20));
  EXPECT_EQ(engine.tcp.streams_per_peer, 2);
  EXPECT_EQ(engine.tcp.io_threads, 3);
  EXPECT_EQ(engine.tcp.window_bytes, uint64_t{1} << 20);
  EXPECT_EQ(engine.tcp.socket_buffer_bytes, 256 << 10);
  EXPECT_TRUE(engine.tcp.checksum);
  EXPECT_EQ(engine.tcp.peer_timeout, seconds(4));
}

TEST(BenchOptionsTest, RdmaFlagsReachTheEngine) {
  FlagValues flags = Initiator();
  flags.protocol = "rdma";
  flags.ib_port = 2;
  flags.gid_index = 0;
  flags.mtu = 1024;
  flags.num_qp = 4;
  flags.max_wr = 512;
  flags.max_sge = 8;
  flags.max_inline = 0;
  flags.max_endpoints = 1000;
  flags.max_read_depth = 4;
  flags.rdma_window = "16M";
  flags.traffic_class = 106;
  flags.service_level = 3;
  flags.pkey_index = 7;
  flags.ack_timeout = 17;
  flags.retry_count = 3;
  flags.work_timeout = 2.5;
  flags.relaxed_ordering = false;
  flags.spin_us = 5;
  flags.given.insert("spin_us");
  TE_ASSERT_OK_AND_ASSIGN(const BenchOptions options, MakeBenchOptions(flags));
  EXPECT_EQ(options.engine.protocol, "rdma");
  const RdmaOptions& rdma = options.engine.rdma;
  EXPECT_EQ(rdma.port, 2);
  EXPECT_EQ(rdma.gid_index, 0);
  EXPECT_EQ(rdma.mtu, 1024);
  EXPECT_EQ(rdma.num_qp, 4);
  EXPECT_EQ(rdma.max_wr, 512);
  EXPECT_EQ(rdma.max_sge, 8);
  EXPECT_EQ(rdma.max_inline, 0);
  EXPECT_EQ(rdma.max_endpoints, 1000);
  EXPECT_EQ(rdma.max_read_depth, 4);
  EXPECT_EQ(rdma.window_bytes, uint64_t{16} << 20);
  EXPECT_EQ(rdma.traffic_class, 106);
  EXPECT_EQ(rdma.service_level, 3);
  EXPECT_EQ(rdma.pkey_index, 7);
  EXPECT_EQ(rdma.ack_timeout, 17);
  EXPECT_EQ(rdma.retry_count, 3);
  EXPECT_EQ(rdma.work_timeout, milliseconds(2500));
  EXPECT_FALSE(rdma.relaxed_ordering);
  EXPECT_EQ(rdma.spin, std::chrono::microseconds(5));
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
  EXPECT_EQ(options.engine.engine.max_spin, defaults.engine.max_spin);
  EXPECT_EQ(options.engine.engine.default_timeout,
            defaults.engine.default_timeout);
  EXPECT_EQ(options.engine.tcp.streams_per_peer, defaults.tcp.streams_per_peer);
  EXPECT_EQ(options.engine.tcp.window_bytes, defaults.tcp.window_bytes);
  EXPECT_EQ(options.engine.tcp.peer_timeout, defaults.tcp.peer_timeout);
  EXPECT_EQ(options.engine.rdma.port, std::nullopt);
  EXPECT_EQ(options.engine.rdma.gid_index, std::nullopt);
  EXPECT_EQ(options.engine.rdma.mtu, std::nullopt);
  EXPECT_EQ(options.engine.rdma.num_qp, defaults.rdma.num_qp);
  EXPECT_EQ(options.engine.rdma.window_bytes, defaults.rdma.window_bytes);
  EXPECT_EQ(options.engine.rdma.work_timeout, defaults.rdma.work_timeout);
  EXPECT_EQ(options.engine.rdma.spin, defaults.rdma.spin);
}

TEST(BenchOptionsTest, TheMemoryMayBeTheEngines) {
  FlagValues flags;
  flags.memory = "engine";
  EXPECT_EQ(MakeBenchOptions(flags)->memory, MemorySource::kEngine);
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
