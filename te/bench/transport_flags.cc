#include "te/bench/transport_flags.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/program/flag_checks.h"

namespace te::bench {
namespace {

using program::BadFlag;
using program::IntFlag;
using program::SecondsFlag;
using program::SizeFlag;

constexpr const char* kShmFlags[] = {"shm_workers"};
constexpr const char* kTcpFlags[] = {"tcp_streams", "tcp_io_threads",
                                     "tcp_window",  "tcp_socket_buffer",
                                     "checksum",    "peer_timeout"};
constexpr const char* kRdmaFlags[] = {
    "ib_port",         "gid_index",   "mtu",           "num_qp",
    "max_wr",          "max_sge",     "max_inline",    "max_endpoints",
    "max_read_depth",  "rdma_window", "traffic_class", "service_level",
    "pkey_index",      "ack_timeout", "retry_count",   "work_timeout",
    "relaxed_ordering"};

// The ranges are those of the transports, which do not know our flags.
absl::Status SetShmOptions(const FlagValues& flags, ShmOptions& shm) {
  TE_ASSIGN_OR_RETURN(shm.workers,
                      IntFlag("shm_workers", flags.shm_workers, 0, 64));
  return absl::OkStatus();
}

absl::Status SetTcpOptions(const FlagValues& flags, TcpOptions& tcp) {
  tcp.checksum = flags.checksum;
  TE_ASSIGN_OR_RETURN(tcp.streams_per_peer,
                      IntFlag("tcp_streams", flags.tcp_streams, 1, 64));
  TE_ASSIGN_OR_RETURN(tcp.io_threads,
                      IntFlag("tcp_io_threads", flags.tcp_io_threads, 1, 64));
  TE_ASSIGN_OR_RETURN(tcp.window_bytes, SizeFlag("tcp_window", flags.tcp_window,
                                                 64 << 10, uint64_t{1} << 32));
  TE_ASSIGN_OR_RETURN(
      const uint64_t socket_buffer,
      SizeFlag("tcp_socket_buffer", flags.tcp_socket_buffer, 0, 1 << 30));
  tcp.socket_buffer_bytes = static_cast<int>(socket_buffer);
  TE_ASSIGN_OR_RETURN(
      tcp.peer_timeout,
      SecondsFlag("peer_timeout", flags.peer_timeout, 1, 86400));
  return absl::OkStatus();
}

// Which port, which address, how large packets are.
absl::Status SetRdmaPath(const FlagValues& flags, RdmaOptions& rdma) {
  TE_ASSIGN_OR_RETURN(const int port,
                      IntFlag("ib_port", flags.ib_port, 0, 255));
  if (port > 0) rdma.port = static_cast<uint8_t>(port);
  TE_ASSIGN_OR_RETURN(const int gid_index,
                      IntFlag("gid_index", flags.gid_index, -1, 255));
  if (gid_index >= 0) rdma.gid_index = gid_index;
  constexpr int64_t kMtus[] = {256, 512, 1024, 2048, 4096};
  if (flags.mtu != 0) {
    if (std::find(std::begin(kMtus), std::end(kMtus), flags.mtu) ==
        std::end(kMtus)) {
      return BadFlag("mtu",
                     absl::StrCat(flags.mtu, " is no MTU of RDMA; there are ",
                                  absl::StrJoin(kMtus, ", "),
                                  ", and 0 for what both ports allow"));
    }
    rdma.mtu = static_cast<int>(flags.mtu);
  }
  TE_ASSIGN_OR_RETURN(rdma.traffic_class,
                      IntFlag("traffic_class", flags.traffic_class, 0, 255));
  TE_ASSIGN_OR_RETURN(rdma.service_level,
                      IntFlag("service_level", flags.service_level, 0, 15));
  TE_ASSIGN_OR_RETURN(rdma.pkey_index,
                      IntFlag("pkey_index", flags.pkey_index, 0, 65535));
  return absl::OkStatus();
}

absl::Status SetRdmaOptions(const FlagValues& flags, RdmaOptions& rdma) {
  TE_RETURN_IF_ERROR(SetRdmaPath(flags, rdma));
  TE_ASSIGN_OR_RETURN(rdma.num_qp, IntFlag("num_qp", flags.num_qp, 1, 64));
  TE_ASSIGN_OR_RETURN(rdma.max_wr, IntFlag("max_wr", flags.max_wr, 16, 16384));
  TE_ASSIGN_OR_RETURN(rdma.max_sge, IntFlag("max_sge", flags.max_sge, 1, 16));
  TE_ASSIGN_OR_RETURN(rdma.max_inline,
                      IntFlag("max_inline", flags.max_inline, 0, 1024));
  TE_ASSIGN_OR_RETURN(rdma.max_endpoints,
                      IntFlag("max_endpoints", flags.max_endpoints, 1, 65536));
  TE_ASSIGN_OR_RETURN(rdma.max_read_depth,
                      IntFlag("max_read_depth", flags.max_read_depth, 1, 255));
  TE_ASSIGN_OR_RETURN(
      rdma.window_bytes,
      SizeFlag("rdma_window", flags.rdma_window, 64 << 10, uint64_t{4} << 30));
  TE_ASSIGN_OR_RETURN(rdma.ack_timeout,
                      IntFlag("ack_timeout", flags.ack_timeout, 1, 31));
  TE_ASSIGN_OR_RETURN(rdma.retry_count,
                      IntFlag("retry_count", flags.retry_count, 0, 7));
  TE_ASSIGN_OR_RETURN(
      rdma.work_timeout,
      SecondsFlag("work_timeout", flags.work_timeout, 0.1, 3600));
  rdma.relaxed_ordering = flags.relaxed_ordering;
  return absl::OkStatus();
}

// Adds a sentence about those of `names` that are given.
void AddInVain(const FlagValues& flags, absl::Span<const char* const> names,
               std::vector<std::string>& sentences) {
  std::vector<std::string> given;
  for (const char* name : names) {
    if (flags.Given(name)) given.push_back(absl::StrCat("--", name));
  }
  if (given.empty()) return;
  sentences.push_back(absl::StrCat(
      absl::StrJoin(given, ", "), given.size() == 1 ? " has" : " have",
      " no effect with --protocol=", flags.protocol));
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

absl::string_view Bool(bool value) { return value ? "true" : "false"; }

void AddShm(const ShmOptions& shm, std::vector<std::string>& arguments) {
  arguments.push_back(absl::StrCat("--shm_workers=", shm.workers));
}

void AddTcp(const TcpOptions& tcp, std::vector<std::string>& arguments) {
  arguments.insert(
      arguments.end(),
      {absl::StrCat("--tcp_streams=", tcp.streams_per_peer),
       absl::StrCat("--tcp_io_threads=", tcp.io_threads),
       absl::StrCat("--tcp_window=", tcp.window_bytes),
       absl::StrCat("--tcp_socket_buffer=", tcp.socket_buffer_bytes),
       absl::StrCat("--checksum=", Bool(tcp.checksum)),
       absl::StrCat("--peer_timeout=", Seconds(tcp.peer_timeout))});
}

void AddRdma(const RdmaOptions& rdma, std::vector<std::string>& arguments) {
  arguments.insert(
      arguments.end(),
      {absl::StrCat("--ib_port=", rdma.port.value_or(0)),
       absl::StrCat("--gid_index=", rdma.gid_index.value_or(-1)),
       absl::StrCat("--mtu=", rdma.mtu.value_or(0)),
       absl::StrCat("--num_qp=", rdma.num_qp),
       absl::StrCat("--max_wr=", rdma.max_wr),
       absl::StrCat("--max_sge=", rdma.max_sge),
       absl::StrCat("--max_inline=", rdma.max_inline),
       absl::StrCat("--max_endpoints=", rdma.max_endpoints),
       absl::StrCat("--max_read_depth=", rdma.max_read_depth),
       absl::StrCat("--rdma_window=", rdma.window_bytes),
       absl::StrCat("--traffic_class=", rdma.traffic_class),
       absl::StrCat("--service_level=", rdma.service_level),
       absl::StrCat("--pkey_index=", rdma.pkey_index),
       absl::StrCat("--ack_timeout=", rdma.ack_timeout),
       absl::StrCat("--retry_count=", rdma.retry_count),
       absl::StrCat("--work_timeout=", Seconds(rdma.work_timeout)),
       absl::StrCat("--relaxed_ordering=", Bool(rdma.relaxed_ordering))});
}

}  // namespace

absl::Status SetTransportOptions(const FlagValues& flags, Options& options) {
  TE_RETURN_IF_ERROR(SetShmOptions(flags, options.shm));
  TE_RETURN_IF_ERROR(SetTcpOptions(flags, options.tcp));
  TE_RETURN_IF_ERROR(SetRdmaOptions(flags, options.rdma));
  options.tcp.spin = options.engine.spin;
  if (flags.Given("spin_us")) options.rdma.spin = options.engine.spin;
  return absl::OkStatus();
}

std::vector<std::string> FlagsInVain(const FlagValues& flags) {
  std::vector<std::string> sentences;
  if (flags.protocol == "auto") return sentences;
  if (flags.protocol != "shm") AddInVain(flags, kShmFlags, sentences);
  if (flags.protocol != "tcp") AddInVain(flags, kTcpFlags, sentences);
  if (flags.protocol != "rdma") AddInVain(flags, kRdmaFlags, sentences);
  return sentences;
}

std::vector<std::string> TransportArguments(const Options& options) {
  std::vector<std::string> arguments;
  const bool all = options.protocol == "auto";
  if (all || options.protocol == "shm") AddShm(options.shm, arguments);
  if (all || options.protocol == "tcp") AddTcp(options.tcp, arguments);
  if (all || options.protocol == "rdma") AddRdma(options.rdma, arguments);
  return arguments;
}

}  // namespace te::bench
