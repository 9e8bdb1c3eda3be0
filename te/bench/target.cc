#include "te/bench/target.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/memory_source.h"
#include "te/bench/pattern.h"
#include "te/bench/start_engine.h"
#include "te/bench/startup_log.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/open_metadata_store.h"
#include "te/program/exit_status.h"
#include "te/program/standard_streams.h"

namespace te::bench {
namespace {

absl::Status TellReady(int fd, const std::string& segment) {
  const std::string line = segment + "\n";
  if (write(fd, line.data(), line.size()) !=
      static_cast<ssize_t>(line.size())) {
    return ErrnoToStatus(errno, "write the segment's name to --ready_fd");
  }
  close(fd);
  return absl::OkStatus();
}

// Until a signal comes or nobody holds the other end of the lifeline.
absl::Status WaitForEnd(program::StopSignal& stop, int lifeline) {
  pollfd fds[] = {{.fd = stop.fd(), .events = POLLIN, .revents = 0},
                  {.fd = lifeline, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(fds, std::size(fds), -1) < 0 && errno != EINTR) {
      return ErrnoToStatus(errno, "poll for the end");
    }
    if (const int signal = stop.Take(); signal != 0) {
      LOG(INFO) << "Received signal " << signal
                << ", stopping target server...";
      return absl::OkStatus();
    }
    char byte;
    if (fds[1].revents != 0 && read(lifeline, &byte, 1) <= 0) {
      LOG(INFO) << "The lifeline has ended, stopping target server...";
      return absl::OkStatus();
    }
  }
}

absl::Status Serve(TransferEngine& engine, BenchMemory& memory,
                   const BenchOptions& options, const std::string& program,
                   program::StopSignal& stop, std::ostream& out) {
  TE_RETURN_IF_ERROR(memory.AddTo(
      engine, Access::kRemoteReadWrite,
      [](absl::Span<std::byte> bytes) { FillPattern(bytes, kTargetSeed, 0); }));
  out << "Target is ready. At the other end: "
      << InitiatorCommand(program, options, engine.segment_name()) << std::endl;
  TE_RETURN_IF_ERROR(program::CheckWritten(out));
  if (options.ready_fd >= 0) {
    TE_RETURN_IF_ERROR(TellReady(options.ready_fd, engine.segment_name()));
  }
  // The engine takes the memory back when it is destroyed, after it has let its
  // peers go, and frees what is its own then: the other way round, they would
  // be told of an unknown buffer.
  return WaitForEnd(stop, options.lifeline_fd);
}

}  // namespace

std::string InitiatorCommand(const std::string& program,
                             const BenchOptions& options,
                             const std::string& segment) {
  // Without the password that its address may have.
  const std::string& metadata = options.engine.metadata_server;
  std::string command =
      absl::StrCat(program, " --mode=initiator --metadata_server=",
                   DescribeMetadataStore(metadata).value_or(metadata),
                   " --segment_id=", segment);
  if (options.engine.protocol != Options().protocol) {
    absl::StrAppend(&command, " --protocol=", options.engine.protocol);
  }
  constexpr uint64_t kInitiatorsDefault = uint64_t{1} << 30;
  if (options.buffer_size != kInitiatorsDefault) {
    absl::StrAppend(&command, " --buffer_size=", options.buffer_size);
  }
  if (options.memory != MemorySource::kUser) {
    absl::StrAppend(&command, " --memory=", MemorySourceName(options.memory));
  }
  return command;
}

absl::Status RunTarget(const BenchOptions& options, const std::string& program,
                       program::StopSignal& stop, std::ostream& out) {
  // Before the engine, which serves it until its end.
  TE_ASSIGN_OR_RETURN(
      BenchMemory memory,
      BenchMemory::Create(options.memory, options.engine.nics.machine->nodes,
                          options.buffer_size));
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<TransferEngine> engine,
                      StartEngine(options.engine));
  LogMachine(options.engine.nics);
  return program::AtRunTime(
      Serve(*engine, memory, options, program, stop, out));
}

}  // namespace te::bench
