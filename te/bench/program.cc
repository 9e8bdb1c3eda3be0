#include "te/bench/program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/bench_options.h"
#include "te/bench/environment.h"
#include "te/bench/flag_values.h"
#include "te/bench/flags.h"
#include "te/bench/help.h"
#include "te/bench/initiator.h"
#include "te/bench/loopback.h"
#include "te/bench/nic_flags.h"
#include "te/bench/report.h"
#include "te/bench/start_engine.h"
#include "te/bench/startup_log.h"
#include "te/bench/target.h"
#include "te/bench/transport_flags.h"
#include "te/core/transfer_engine.h"
#include "te/program/command_line.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"
#include "te/program/stop_signal.h"

namespace te::bench {
namespace {

// Flags that are not given come from the environment.
absl::StatusOr<EnvironmentEffect> ApplyEnvironment(
    std::set<std::string>& given) {
  TE_ASSIGN_OR_RETURN(EnvironmentEffect effect,
                      InterpretEnvironment(ReadEnvironment(), given,
                                           ReadFlags(given).local_server_name));
  for (const FlagFromEnvironment& flag : effect.flags) {
    TE_RETURN_IF_ERROR(program::SetFlag(flag.flag, flag.value));
    given.insert(flag.flag);
  }
  return effect;
}

// `status` with the variable that has set the flag which it is about, if any.
absl::Status NameVariable(const EnvironmentEffect& effect,
                          const absl::Status& status) {
  for (const FlagFromEnvironment& flag : effect.flags) {
    absl::string_view why = status.message();
    if (!absl::ConsumePrefix(&why, absl::StrCat("--", flag.flag, ": "))) {
      continue;
    }
    return absl::Status(status.code(), absl::StrCat("--", flag.flag, " (from ",
                                                    flag.variable, "): ", why));
  }
  return status;
}

absl::Status CheckLogFolder(const FlagValues& flags) {
  if (!flags.Given("log_dir")) return absl::OkStatus();
  // The dot makes it fail for what is no folder.
  if (access((FLAGS_log_dir + "/.").c_str(), W_OK | X_OK) == 0) {
    return absl::OkStatus();
  }
  return program::BadFlag("log_dir",
                          absl::StrCat("cannot write to \"", FLAGS_log_dir,
                                       "\": ", std::strerror(errno)));
}

// Before anything is opened, which could get the same number.
absl::Status CheckOpen(absl::string_view flag, int fd) {
  if (fd < 0 || fcntl(fd, F_GETFD) >= 0) return absl::OkStatus();
  return program::BadFlag(flag,
                          absl::StrCat("file descriptor ", fd, " is not open"));
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

// Peers may be many, and each has several connections.
void RaiseOpenFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

absl::Status Measure(TransferEngine& engine, const BenchOptions& options,
                     BenchMemory& memory, Report& report,
                     program::StopSignal& stop) {
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<Initiator> initiator,
                      Initiator::Create(engine, options, memory, stop));
  TE_RETURN_IF_ERROR(initiator->Connect(options.segment));
  return initiator->Run(report);
}

absl::Status RunInitiator(const BenchOptions& options, Report& report,
                          program::StopSignal& stop) {
  TE_ASSIGN_OR_RETURN(
      BenchMemory memory,
      BenchMemory::Create(options.memory, options.engine.nics.machine->nodes,
                          options.buffer_size));
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<TransferEngine> engine,
                      StartEngine(options.engine));
  LogMachine(options.engine.nics);
  return program::AtRunTime(Measure(*engine, options, memory, report, stop));
}

absl::Status RunMode(const BenchOptions& options, const char* program) {
  TE_ASSIGN_OR_RETURN(program::StopSignal stop, program::StopSignal::Create());
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

absl::Status RunWithFlags(const FlagValues& flags,
                          const std::vector<std::string>& warnings,
                          const char* program) {
  TE_ASSIGN_OR_RETURN(BenchOptions options, MakeBenchOptions(flags));
  TE_RETURN_IF_ERROR(CheckLogFolder(flags));
  TE_RETURN_IF_ERROR(CheckOpen("ready_fd", options.ready_fd));
  TE_RETURN_IF_ERROR(CheckOpen("lifeline_fd", options.lifeline_fd));
  StartLogging(program, flags, options.mode);
  for (const std::string& warning : warnings) LOG(WARNING) << warning;
  for (const std::string& vain : FlagsInVain(flags)) LOG(WARNING) << vain;
  TE_ASSIGN_OR_RETURN(options.engine.nics,
                      MakeNicOptions(flags, FindMachine()));
  return RunMode(options, program);
}

absl::Status Run(absl::Span<char* const> arguments) {
  TE_ASSIGN_OR_RETURN(std::set<std::string> given,
                      program::ParseCommandLine(arguments.subspan(1)));
  if (HelpWanted()) {
    std::cout << HelpText();
    return absl::OkStatus();
  }
  TE_ASSIGN_OR_RETURN(const EnvironmentEffect effect, ApplyEnvironment(given));
  return NameVariable(
      effect, RunWithFlags(ReadFlags(given), effect.warnings, arguments[0]));
}

}  // namespace

int RunTransferBench(absl::Span<char* const> arguments) {
  return program::RunWork("transfer_bench", [&] {
    RaiseOpenFileLimit();
    return Run(arguments);
  });
}

}  // namespace te::bench
