#include "te/bench/program.h"

#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/bench_options.h"
#include "te/bench/command_line.h"
#include "te/bench/environment.h"
#include "te/bench/exit_status.h"
#include "te/bench/flags.h"
#include "te/bench/help.h"
#include "te/bench/initiator.h"
#include "te/bench/loopback.h"
#include "te/bench/report.h"
#include "te/bench/startup_log.h"
#include "te/bench/stop_signal.h"
#include "te/bench/target.h"
#include "te/transfer_engine.h"

namespace te::bench {
namespace {

// Flags that are not given come from the environment. Returns the warnings.
absl::StatusOr<std::vector<std::string>> ApplyEnvironment(
    std::set<std::string>& given) {
  TE_ASSIGN_OR_RETURN(EnvironmentEffect effect,
                      InterpretEnvironment(ReadEnvironment(), given,
                                           ReadFlags(given).local_server_name));
  for (const FlagFromEnvironment& flag : effect.flags) {
    TE_RETURN_IF_ERROR(SetFlag(flag.flag, flag.value));
    given.insert(flag.flag);
  }
  return std::move(effect.warnings);
}

// The log goes to stderr. In loopback mode, which people start to see a table,
// it has no more than warnings unless they want it.
void StartLogging(const char* program, const FlagValues& flags, Mode mode) {
  // Not FLAGS_log_dir.empty(): glog sets that from the environment.
  FLAGS_logtostderr = !flags.Given("log_dir");
  if (mode == Mode::kLoopback && flags.mode.empty() &&
      !flags.Given("minloglevel") && !flags.Given("v")) {
    FLAGS_minloglevel = google::GLOG_WARNING;
  }
  google::InitGoogleLogging(program);
}

absl::Status Measure(TransferEngine& engine, const BenchOptions& options,
                     const BenchMemory& memory, Report& report,
                     StopSignal& stop) {
  TE_ASSIGN_OR_RETURN(
      const std::unique_ptr<Initiator> initiator,
      Initiator::Create(engine, options, options.segment, memory, stop));
  return initiator->Run(report);
}

absl::Status RunInitiator(const BenchOptions& options, Report& report,
                          StopSignal& stop) {
  const std::vector<NumaNode> nodes = FindNodes();
  TE_ASSIGN_OR_RETURN(const BenchMemory memory,
                      BenchMemory::Map(nodes, options.buffer_size));
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<TransferEngine> engine,
                      CreateTransferEngine(options.engine));
  LogMachine(nodes);
  return AtRunTime(Measure(*engine, options, memory, report, stop));
}

absl::Status RunMode(const BenchOptions& options, const char* program) {
  TE_ASSIGN_OR_RETURN(StopSignal stop, StopSignal::Create());
  if (options.mode == Mode::kTarget) {
    return RunTarget(options, program, stop, std::cout);
  }
  const std::unique_ptr<Report> report =
      options.json
          ? MakeJsonReport(std::cout)
          : MakeTableReport(std::cout, options.unit, options.precision);
  const absl::Status status =
      options.mode == Mode::kInitiator
          ? RunInitiator(options, *report, stop)
          : RunLoopback(options, *report, stop, std::cout);
  report->Finish();
  return status;
}

absl::Status Run(absl::Span<char* const> arguments) {
  TE_ASSIGN_OR_RETURN(std::set<std::string> given,
                      ParseCommandLine(arguments.subspan(1)));
  if (HelpWanted()) {
    std::cout << HelpText();
    return absl::OkStatus();
  }
  TE_ASSIGN_OR_RETURN(const std::vector<std::string> warnings,
                      ApplyEnvironment(given));
  const FlagValues flags = ReadFlags(given);
  TE_ASSIGN_OR_RETURN(const BenchOptions options, MakeBenchOptions(flags));
  StartLogging(arguments[0], flags, options.mode);
  for (const std::string& warning : warnings) LOG(WARNING) << warning;
  if (flags.Given("device_name")) {
    LOG(WARNING) << "--device_name has no effect: tcp uses the address of "
                    "--local_server_name";
  }
  return RunMode(options, arguments[0]);
}

}  // namespace

int RunTransferBench(absl::Span<char* const> arguments) {
  const absl::Status status = Run(arguments);
  if (!status.ok()) {
    std::cerr << "transfer_bench: " << status.message() << std::endl;
  }
  return ExitStatus(status);
}

}  // namespace te::bench
