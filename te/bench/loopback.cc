#include "te/bench/loopback.h"

#include <chrono>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/initiator.h"
#include "te/bench/start_engine.h"
#include "te/bench/startup_log.h"
#include "te/bench/target_process.h"
#include "te/core/transfer_engine.h"
#include "te/nic_choice.h"
#include "te/program/exit_status.h"
#include "te/program/size_text.h"
#include "te/topology/machine_summary.h"

namespace te::bench {
namespace {

constexpr Duration kStartTimeout = std::chrono::seconds(30);

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// What "auto" means here: each by itself, one after the other.
std::vector<std::string> ProtocolsToMeasure(const BenchOptions& options) {
  if (options.engine.protocol != "auto") return {options.engine.protocol};
  return {"tcp"};
}

// Where both engines listen, each on a free port.
absl::StatusOr<std::string> LoopbackName(const BenchOptions& options) {
  const std::string& name = options.engine.local_server_name;
  if (name.empty()) return std::string("127.0.0.1");
  TE_ASSIGN_OR_RETURN(const HostPortRange parsed, HostPortRange::Parse(name));
  return HostPort{.host = parsed.host, .port = std::nullopt}.ToString();
}

absl::Status MeasureOwnTarget(TransferEngine& engine,
                              const BenchOptions& options,
                              const BenchMemory& memory, Report& report,
                              program::StopSignal& stop, std::ostream& out) {
  TE_ASSIGN_OR_RETURN(
      const std::unique_ptr<TargetProcess> target,
      TargetProcess::Start(TargetArguments(options), kStartTimeout));
  if (!options.json) {
    out << "Loopback over " << options.engine.protocol
        << ": a target process of its own at " << target->segment_name()
        << ", buffers of " << program::FormatSize(options.buffer_size) << ", "
        << Seconds(options.duration) << " s a row. --help tells more.\n"
        << "This machine: " << SummarizeMachine(*options.engine.nics.machine)
        << ".\n"
        << std::endl;
  }
  TE_ASSIGN_OR_RETURN(
      const std::unique_ptr<Initiator> initiator,
      Initiator::Create(engine, options, target->segment_name(), memory, stop));
  return initiator->Run(report);
}

absl::Status RunProtocol(const BenchOptions& options, Report& report,
                         program::StopSignal& stop, std::ostream& out) {
  TE_ASSIGN_OR_RETURN(const BenchMemory memory,
                      BenchMemory::Map(options.engine.nics.machine->nodes,
                                       options.buffer_size));
  // Before the target, because it says what is wrong with the options.
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<TransferEngine> engine,
                      StartEngine(options.engine));
  LogMachine(options.engine.nics);
  return program::AtRunTime(
      MeasureOwnTarget(*engine, options, memory, report, stop, out));
}

}  // namespace

std::vector<std::string> TargetArguments(const BenchOptions& options) {
  const EngineOptions& engine = options.engine.engine;
  const TcpOptions& tcp = options.engine.tcp;
  const NicOptions& nics = options.engine.nics;
  return {
      absl::StrCat("--metadata_server=", options.engine.metadata_server),
      absl::StrCat("--local_server_name=", options.engine.local_server_name),
      absl::StrCat("--protocol=", options.engine.protocol),
      absl::StrCat("--device_name=", absl::StrJoin(nics.allowed, ",")),
      absl::StrCat("--exclude_device_name=", absl::StrJoin(nics.denied, ",")),
      absl::StrCat("--auto_discovery=", nics.by_distance ? "true" : "false"),
      absl::StrCat("--nic_priority_matrix=", nics.priority_matrix.value_or("")),
      absl::StrCat("--buffer_size=", options.buffer_size),
      absl::StrCat("--minloglevel=", FLAGS_minloglevel),
      absl::StrCat("--v=", FLAGS_v),
      absl::StrCat("--slice_size=", engine.slice_bytes),
      absl::StrCat("--connect_timeout=", Seconds(engine.connect_timeout)),
      absl::StrCat("--spin_us=", 1e6 * Seconds(engine.spin)),
      absl::StrCat("--tcp_streams=", tcp.streams_per_peer),
      absl::StrCat("--tcp_io_threads=", tcp.io_threads),
      absl::StrCat("--tcp_window=", tcp.window_bytes),
      absl::StrCat("--tcp_socket_buffer=", tcp.socket_buffer_bytes),
      absl::StrCat("--checksum=", tcp.checksum ? "true" : "false"),
      absl::StrCat("--peer_timeout=", Seconds(tcp.peer_timeout)),
  };
}

absl::Status RunLoopback(const BenchOptions& options, Report& report,
                         program::StopSignal& stop, std::ostream& out) {
  BenchOptions each = options;
  TE_ASSIGN_OR_RETURN(each.engine.local_server_name, LoopbackName(options));
  for (const std::string& protocol : ProtocolsToMeasure(options)) {
    each.engine.protocol = protocol;
    TE_RETURN_IF_ERROR(RunProtocol(each, report, stop, out));
  }
  return absl::OkStatus();
}

}  // namespace te::bench
