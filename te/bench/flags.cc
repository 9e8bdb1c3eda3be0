// The program's flags. HelpText of te/bench/help.cc puts them in order.

#include "te/bench/flags.h"

#include <utility>

#include "gflags/gflags.h"

namespace te::bench {
namespace {

const FlagValues& Defaults() {
  static const FlagValues defaults;
  return defaults;
}

}  // namespace
}  // namespace te::bench

using te::bench::Defaults;

DEFINE_string(mode, Defaults().mode,
              "target, initiator or loopback; without it an initiator if there "
              "is a --segment_id, else loopback");
DEFINE_string(
    metadata_server, Defaults().metadata_server,
    "how segments are found; p2p (or P2PHANDSHAKE): by the target's "
    "own address; redis://[[user]:password@]host[:port][/database] or "
    "unix:///path: through a Redis server; grpc://host:port or "
    "grpcs://host:port?ca=FILE: through te's metadata_server");
DEFINE_string(
    local_server_name, Defaults().local_server_name,
    "where to listen: host:port, host:first-last, host, or the name "
    "of an interface; IPv6 in brackets. Empty: the address that suits "
    "other hosts best, any port. Loopback: 127.0.0.1");
DEFINE_string(segment_id, Defaults().segment_id,
              "the target's segment, as the target prints it");
DEFINE_string(
    device_name, Defaults().device_name,
    "the RDMA devices to use, by their own names or those of their "
    "netdevs: mlx5_0,mlx5_1. Empty: all, with --noauto_discovery none");
DEFINE_string(exclude_device_name, Defaults().exclude_device_name,
              "RDMA devices not to use");
DEFINE_bool(auto_discovery, Defaults().auto_discovery,
            "choose for each NUMA node and GPU the RDMA devices that are near "
            "to it. --noauto_discovery: those of --device_name for everything");
DEFINE_string(nic_priority_matrix, Defaults().nic_priority_matrix,
              "in place of discovery: a file, or the text itself, as "
              "{\"cpu:0\": [[\"mlx5_0\"], [\"mlx5_1\"]]}: preferred devices "
              "and fallback ones");
DEFINE_string(
    protocol, Defaults().protocol,
    "shm, rdma, tcp, or auto: shm on one host, rdma where both ends can, else "
    "tcp. Loopback: auto measures one after the other");
DEFINE_string(operation, Defaults().operation,
              "read, write, or mix, which alternates. Loopback: read, then "
              "write");
DEFINE_string(block_size, Defaults().block_size,
              "bytes of a request: 65536, 64K. Loopback: a sweep from 4K to "
              "16M");
DEFINE_string(block_sizes, Defaults().block_sizes,
              "a sweep in place of --block_size: 4K,64K,1M");
DEFINE_int64(batch_size, Defaults().batch_size,
             "requests of a batch. Loopback: 16 MiB a batch, 4 to 128 "
             "requests");
DEFINE_string(batch_sizes, Defaults().batch_sizes,
              "a sweep in place of --batch_size: 1,16,128");
DEFINE_int64(threads, Defaults().threads,
             "threads that submit, each to a part of the buffers of its own. "
             "Loopback: 1");
DEFINE_string(thread_counts, Defaults().thread_counts,
              "a sweep in place of --threads: 1,2,4");
DEFINE_double(duration, Defaults().duration,
              "seconds to measure, for each row. Loopback: 1");
DEFINE_string(buffer_size, Defaults().buffer_size,
              "bytes of the buffer on each NUMA node. Loopback: 64M, or what "
              "the requests need");
DEFINE_string(memory, Defaults().memory,
              "where the buffers come from. user: mapped and registered; "
              "engine: allocated by the engine, on huge pages if there are "
              "some, so that processes of this host can map them");
DEFINE_bool(verify, Defaults().verify,
            "check the data of every batch; the time that takes lowers the "
            "throughput, but is no part of the latency. Loopback: without the "
            "flag one batch before and one "
            "after the measuring are checked, --noverify checks none");
DEFINE_string(format, Defaults().format,
              "text; or json, one object per row on stdout and nothing else "
              "there");
DEFINE_string(report_unit, Defaults().report_unit,
              "of throughput in text: GB|GiB|Gb|MB|MiB|Mb|KB|KiB|Kb");
DEFINE_int64(report_precision, Defaults().report_precision,
             "decimals of throughput in text");

DEFINE_string(slice_size, Defaults().slice_size,
              "bytes of the pieces that requests are cut into");
DEFINE_int64(max_attempts, Defaults().max_attempts,
             "how often a piece is sent at most");
DEFINE_double(request_timeout, Defaults().request_timeout,
              "seconds until a request that has not finished fails");
DEFINE_double(connect_timeout, Defaults().connect_timeout,
              "seconds until the target must have answered, and later for each "
              "attempt at connecting to it again");
DEFINE_double(spin_us, Defaults().spin_us,
              "microseconds that waiting threads look before they sleep");
DEFINE_double(max_spin_us, Defaults().max_spin_us,
              "how many at most, if the target's answers take longer");
DEFINE_int64(shm_workers, Defaults().shm_workers,
             "threads that help to copy within this host, for each NUMA node; "
             "0: whoever submits copies everything");
DEFINE_int64(tcp_streams, Defaults().tcp_streams,
             "TCP connections to each peer; more than one want as many "
             "--tcp_io_threads, at both ends");
DEFINE_int64(tcp_io_threads, Defaults().tcp_io_threads,
             "threads that serve peers, and move the data of all connections "
             "to a peer but the first");
DEFINE_string(tcp_window, Defaults().tcp_window,
              "bytes under way on one TCP connection at most");
DEFINE_string(tcp_socket_buffer, Defaults().tcp_socket_buffer,
              "SO_SNDBUF and SO_RCVBUF; 0: as the kernel sees fit");
DEFINE_bool(checksum, Defaults().checksum,
            "add a CRC32C to all data on TCP and check it");
DEFINE_double(peer_timeout, Defaults().peer_timeout,
              "seconds after which a silent TCP peer is taken for dead");

DEFINE_int64(ib_port, Defaults().ib_port,
             "the RDMA devices' port; 0: of each the first that is active");
DEFINE_int64(gid_index, Defaults().gid_index,
             "the entry of the RDMA devices' GID tables to use; -1: the one "
             "that suits the peer best");
DEFINE_int64(mtu, Defaults().mtu,
             "bytes of an RDMA packet: 256, 512, 1024, 2048 or 4096; 0: what "
             "the ports of both ends allow");
DEFINE_int64(num_qp, Defaults().num_qp,
             "queue pairs between a local and a remote RDMA device");
DEFINE_int64(max_wr, Defaults().max_wr,
             "work requests under way on a queue pair");
DEFINE_int64(max_sge, Defaults().max_sge,
             "pieces of local memory that a work request gathers or scatters");
DEFINE_int64(max_inline, Defaults().max_inline,
             "bytes of a WRITE that travels in the work request itself");
DEFINE_int64(max_endpoints, Defaults().max_endpoints,
             "pairs of a local and a remote RDMA device, for this process and "
             "for its peers; each has --num_qp queue pairs");
DEFINE_int64(max_read_depth, Defaults().max_read_depth,
             "RDMA READs under way on a queue pair");
DEFINE_string(rdma_window, Defaults().rdma_window,
              "bytes under way between a local and a remote RDMA device");
DEFINE_int64(traffic_class, Defaults().traffic_class,
             "of RDMA packets; the upper six bits are the DSCP of RoCE v2");
DEFINE_int64(service_level, Defaults().service_level,
             "of InfiniBand, or the priority of RoCE");
DEFINE_int64(pkey_index, Defaults().pkey_index,
             "the entry of the P_Key table, of InfiniBand partitions");
DEFINE_int64(ack_timeout, Defaults().ack_timeout,
             "an RDMA packet that is not acknowledged within 4.096 us times 2 "
             "to this is sent again");
DEFINE_int64(retry_count, Defaults().retry_count,
             "how often an RDMA packet is sent again before the connection "
             "fails");
DEFINE_double(work_timeout, Defaults().work_timeout,
              "seconds after which a work request that the device has not "
              "completed fails");
DEFINE_bool(relaxed_ordering, Defaults().relaxed_ordering,
            "let PCIe reorder what RDMA devices write into memory, where they "
            "can");

DEFINE_int64(ready_fd, Defaults().ready_fd,
             "for scripts: when a target is ready, it writes its segment's "
             "name and a newline to this file descriptor");
DEFINE_int64(lifeline_fd, Defaults().lifeline_fd,
             "for scripts: a target ends when this pipe is closed at its other "
             "end, however that comes about");

// gflags defines it.
DECLARE_bool(help);

namespace te::bench {

FlagValues ReadFlags(std::set<std::string> given) {
  return {
      .mode = FLAGS_mode,
      .metadata_server = FLAGS_metadata_server,
      .local_server_name = FLAGS_local_server_name,
      .segment_id = FLAGS_segment_id,
      .device_name = FLAGS_device_name,
      .exclude_device_name = FLAGS_exclude_device_name,
      .auto_discovery = FLAGS_auto_discovery,
      .nic_priority_matrix = FLAGS_nic_priority_matrix,
      .protocol = FLAGS_protocol,
      .operation = FLAGS_operation,
      .block_size = FLAGS_block_size,
      .block_sizes = FLAGS_block_sizes,
      .batch_size = FLAGS_batch_size,
      .batch_sizes = FLAGS_batch_sizes,
      .threads = FLAGS_threads,
      .thread_counts = FLAGS_thread_counts,
      .duration = FLAGS_duration,
      .buffer_size = FLAGS_buffer_size,
      .memory = FLAGS_memory,
      .verify = FLAGS_verify,
      .format = FLAGS_format,
      .report_unit = FLAGS_report_unit,
      .report_precision = FLAGS_report_precision,
      .slice_size = FLAGS_slice_size,
      .max_attempts = FLAGS_max_attempts,
      .request_timeout = FLAGS_request_timeout,
      .connect_timeout = FLAGS_connect_timeout,
      .spin_us = FLAGS_spin_us,
      .max_spin_us = FLAGS_max_spin_us,
      .tcp_streams = FLAGS_tcp_streams,
      .tcp_io_threads = FLAGS_tcp_io_threads,
      .tcp_window = FLAGS_tcp_window,
      .tcp_socket_buffer = FLAGS_tcp_socket_buffer,
      .checksum = FLAGS_checksum,
      .peer_timeout = FLAGS_peer_timeout,
      .shm_workers = FLAGS_shm_workers,
      .ib_port = FLAGS_ib_port,
      .gid_index = FLAGS_gid_index,
      .mtu = FLAGS_mtu,
      .num_qp = FLAGS_num_qp,
      .max_wr = FLAGS_max_wr,
      .max_sge = FLAGS_max_sge,
      .max_inline = FLAGS_max_inline,
      .max_endpoints = FLAGS_max_endpoints,
      .max_read_depth = FLAGS_max_read_depth,
      .rdma_window = FLAGS_rdma_window,
      .service_level = FLAGS_service_level,
      .traffic_class = FLAGS_traffic_class,
      .pkey_index = FLAGS_pkey_index,
      .ack_timeout = FLAGS_ack_timeout,
      .retry_count = FLAGS_retry_count,
      .work_timeout = FLAGS_work_timeout,
      .relaxed_ordering = FLAGS_relaxed_ordering,
      .ready_fd = FLAGS_ready_fd,
      .lifeline_fd = FLAGS_lifeline_fd,
      .given = std::move(given),
  };
}

bool HelpWanted() { return FLAGS_help; }

}  // namespace te::bench
