#ifndef TE_BENCH_FLAG_VALUES_H_
#define TE_BENCH_FLAG_VALUES_H_

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

#include "te/base/clock.h"
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
  std::string memory = "user";
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
  double max_spin_us = 1e6 * Seconds(EngineOptions().max_spin);
  int64_t tcp_streams = TcpOptions().streams_per_peer;
  int64_t tcp_io_threads = TcpOptions().io_threads;
  std::string tcp_window = std::to_string(TcpOptions().window_bytes);
  std::string tcp_socket_buffer =
      std::to_string(TcpOptions().socket_buffer_bytes);
  bool checksum = TcpOptions().checksum;
  double peer_timeout = Seconds(TcpOptions().peer_timeout);
  int64_t shm_workers = ShmOptions().workers;

  // 0, -1 and 0 leave it to the transport.
  int64_t ib_port = 0;
  int64_t gid_index = -1;
  int64_t mtu = 0;
  int64_t num_qp = RdmaOptions().num_qp;
  int64_t max_wr = RdmaOptions().max_wr;
  int64_t max_sge = RdmaOptions().max_sge;
  int64_t max_inline = RdmaOptions().max_inline;
  int64_t max_endpoints = RdmaOptions().max_endpoints;
  int64_t max_read_depth = RdmaOptions().max_read_depth;
  std::string rdma_window = std::to_string(RdmaOptions().window_bytes);
  int64_t service_level = RdmaOptions().service_level;
  int64_t traffic_class = RdmaOptions().traffic_class;
  int64_t pkey_index = RdmaOptions().pkey_index;
  int64_t ack_timeout = RdmaOptions().ack_timeout;
  int64_t retry_count = RdmaOptions().retry_count;
  double work_timeout = Seconds(RdmaOptions().work_timeout);
  bool relaxed_ordering = RdmaOptions().relaxed_ordering;

  int64_t ready_fd = -1;
  int64_t lifeline_fd = -1;

  // The names of those that were given.
  std::set<std::string> given;
  bool Given(const std::string& name) const { return given.count(name) > 0; }

  static double Seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
  }
};

}  // namespace te::bench

#endif  // TE_BENCH_FLAG_VALUES_H_
