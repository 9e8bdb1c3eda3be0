#include "te/bench/loopback.h"

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/initiator.h"
#include "te/bench/memory_source.h"
#include "te/bench/start_engine.h"
#include "te/bench/startup_log.h"
#include "te/bench/target_process.h"
#include "te/bench/transport_flags.h"
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

// Where both engines listen, each on a free port.
absl::StatusOr<std::string> LoopbackName(const BenchOptions& options) {
  const std::string& name = options.engine.local_server_name;
  if (name.empty()) return std::string("127.0.0.1");
  TE_ASSIGN_OR_RETURN(const HostPortRange parsed, HostPortRange::Parse(name));
  return HostPort{.host = parsed.host, .port = std::nullopt}.ToString();
}

// What the measuring needs; from the last to the first it goes.
struct Setup {
  std::unique_ptr<BenchMemory> memory;
  std::unique_ptr<TransferEngine> engine;
  std::unique_ptr<TargetProcess> target;
  std::unique_ptr<Initiator> initiator;
};

// With an engine of our own that is up. The target comes after our own memory,
// of which more can be said if it cannot be registered.
absl::Status Connect(const BenchOptions& options, program::StopSignal& stop,
                     Setup& setup) {
  TE_ASSIGN_OR_RETURN(setup.initiator, Initiator::Create(*setup.engine, options,
                                                         *setup.memory, stop));
  TE_ASSIGN_OR_RETURN(
      setup.target,
      TargetProcess::Start(TargetArguments(options), kStartTimeout));
  return setup.initiator->Connect(setup.target->segment_name());
}

// `options`, with a protocol that is not "auto", outlive the result.
absl::StatusOr<Setup> Prepare(const BenchOptions& options,
                              program::StopSignal& stop) {
  Setup setup;
  TE_ASSIGN_OR_RETURN(
      BenchMemory memory,
      BenchMemory::Create(options.memory, options.engine.nics.machine->nodes,
                          options.buffer_size));
  setup.memory = std::make_unique<BenchMemory>(std::move(memory));
  // Before the target, because it says what is wrong with the options.
  TE_ASSIGN_OR_RETURN(setup.engine, StartEngine(options.engine));
  LogMachine(options.engine.nics);
  TE_RETURN_IF_ERROR(program::AtRunTime(Connect(options, stop, setup)));
  return setup;
}

// `left_out`: lines about transports that are not measured.
void Announce(const BenchOptions& options, const Setup& setup,
              const std::string& left_out, std::ostream& out) {
  out << "Loopback over " << options.engine.protocol
      << ": a target process of its own at " << setup.target->segment_name()
      << ", buffers of " << program::FormatSize(options.buffer_size) << ", "
      << Seconds(options.duration) << " s a row. --help tells more.\n"
      << left_out
      << "This machine: " << SummarizeMachine(*options.engine.nics.machine)
      << ".\n"
      << std::endl;
}

// A line that says why a protocol is not measured.
std::string LeftOut(const std::string& protocol, const absl::Status& status) {
  absl::string_view why = status.message();
  absl::ConsumePrefix(&why, absl::StrCat("protocol ", protocol, ": "));
  return absl::StrCat("Not over ", protocol, ": ", why, "\n");
}

}  // namespace

std::vector<std::string> ProtocolsToMeasure(const std::string& protocol) {
  if (protocol == "auto") return {"rdma", "shm", "tcp"};
  return {protocol};
}

std::vector<std::string> TargetArguments(const BenchOptions& options) {
  const EngineOptions& engine = options.engine.engine;
  const NicOptions& nics = options.engine.nics;
  std::vector<std::string> arguments = {
      absl::StrCat("--metadata_server=", options.engine.metadata_server),
      absl::StrCat("--local_server_name=", options.engine.local_server_name),
      absl::StrCat("--protocol=", options.engine.protocol),
      absl::StrCat("--device_name=", absl::StrJoin(nics.allowed, ",")),
      absl::StrCat("--exclude_device_name=", absl::StrJoin(nics.denied, ",")),
      absl::StrCat("--auto_discovery=", nics.by_distance ? "true" : "false"),
      absl::StrCat("--nic_priority_matrix=", nics.priority_matrix.value_or("")),
      absl::StrCat("--buffer_size=", options.buffer_size),
      absl::StrCat("--memory=", MemorySourceName(options.memory)),
      absl::StrCat("--minloglevel=", FLAGS_minloglevel),
      absl::StrCat("--v=", FLAGS_v),
      absl::StrCat("--slice_size=", engine.slice_bytes),
      absl::StrCat("--connect_timeout=", Seconds(engine.connect_timeout)),
      absl::StrCat("--spin_us=", 1e6 * Seconds(engine.spin)),
      absl::StrCat("--max_spin_us=", 1e6 * Seconds(engine.max_spin)),
  };
  for (std::string& argument : TransportArguments(options.engine)) {
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

absl::Status RunLoopback(const BenchOptions& options, Report& report,
                         program::StopSignal& stop, std::ostream& out) {
  BenchOptions each = options;
  TE_ASSIGN_OR_RETURN(each.engine.local_server_name, LoopbackName(options));
  std::string left_out;
  for (std::string& protocol : ProtocolsToMeasure(options.engine.protocol)) {
    each.engine.protocol = std::move(protocol);
    const absl::StatusOr<Setup> setup = Prepare(each, stop);
    if (!setup.ok()) {
      // Of several, what this machine cannot do is left out. TCP it always can.
      const bool optional =
          options.engine.protocol == "auto" && each.engine.protocol != "tcp";
      if (!optional) return setup.status();
      const std::string line = LeftOut(each.engine.protocol, setup.status());
      if (!options.json) {
        left_out += line;
      } else if (each.engine.protocol == "rdma" &&
                 each.engine.nics.machine->nics.empty()) {
        LOG(INFO) << line;
      } else {
        LOG(WARNING) << line;
      }
      continue;
    }
    if (!options.json) {
      Announce(each, *setup, std::exchange(left_out, {}), out);
    }
    TE_RETURN_IF_ERROR(program::AtRunTime(setup->initiator->Run(report)));
  }
  return absl::OkStatus();
}

}  // namespace te::bench
