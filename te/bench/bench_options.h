#ifndef TE_BENCH_BENCH_OPTIONS_H_
#define TE_BENCH_BENCH_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/bench/rate_unit.h"
#include "te/bench/workload.h"
#include "te/options.h"

namespace te::bench {

// The flags as they were given, or their defaults; te/bench/flags.cc says what
// each one means.
struct FlagValues {
  std::string mode;
  std::string metadata_server = "p2p";
  std::string local_server_name;
  std::string segment_id;
  std::string device_name;
  std::string exclude_device_name;
  bool auto_discovery = true;
  std::string nic_priority_matrix;
  std::string protocol = "auto";
  std::string operation = "read";
  std::string block_size = "65536";
  std::string block_sizes;
  int64_t batch_size = 128;
  std::string batch_sizes;
  int64_t threads = 12;
  std::string thread_counts;
  double duration = 10;
  std::string buffer_size = "1G";
  bool verify = false;
  std::string format = "text";
  std::string report_unit = "GB";
  int64_t report_precision = 2;

  // The engine's own defaults; 0 leaves the socket buffers to the kernel.
  std::string slice_size = std::to_string(EngineOptions().slice_bytes);
  int64_t max_attempts = EngineOptions().max_slice_attempts;
  double request_timeout = Seconds(EngineOptions().default_timeout);
  double connect_timeout = Seconds(EngineOptions().connect_timeout);
  double spin_us = 1e6 * Seconds(EngineOptions().spin);
  int64_t tcp_streams = TcpOptions().streams_per_peer;
  int64_t tcp_io_threads = TcpOptions().io_threads;
  std::string tcp_window = std::to_string(TcpOptions().window_bytes);
  std::string tcp_socket_buffer =
      std::to_string(TcpOptions().socket_buffer_bytes);
  bool checksum = TcpOptions().checksum;
  double peer_timeout = Seconds(TcpOptions().peer_timeout);

  int64_t ready_fd = -1;
  int64_t lifeline_fd = -1;

  // The names of those that were given.
  std::set<std::string> given;
  bool Given(const std::string& name) const { return given.count(name) > 0; }

  static double Seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
  }
};

enum class Mode : uint8_t { kTarget, kInitiator, kLoopback };

// What the program is to do.
struct BenchOptions {
  Mode mode = Mode::kLoopback;
  // Of the engine. For loopback: where both engines listen.
  Options engine;
  std::string segment;
  // In this order, each for `duration`.
  std::vector<Workload> workloads;
  Duration duration{};
  Verify verify = Verify::kOff;
  uint64_t buffer_size = 0;
  bool json = false;
  RateUnit unit;
  int precision = 2;
  // A target writes its segment's name there when it is ready; -1 for none.
  int ready_fd = -1;
  // A target ends when this has nothing to read any more; -1 for none.
  int lifeline_fd = -1;
};

// INVALID_ARGUMENT, with the flag's name, for everything that can be known to
// be wrong without an engine. A pure function.
absl::StatusOr<BenchOptions> MakeBenchOptions(const FlagValues& flags);

}  // namespace te::bench

#endif  // TE_BENCH_BENCH_OPTIONS_H_
