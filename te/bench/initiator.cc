#include "te/bench/initiator.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/bench/request_failures.h"
#include "te/bench/worker.h"
#include "te/metadata/segment_descriptor.h"
#include "te/program/size_text.h"

namespace te::bench {
namespace {

constexpr Duration kUnregisterTimeout = std::chrono::seconds(5);

// All that failed, in a few lines.
absl::Status Failure(const std::string& segment, const WorkloadRun& run) {
  RequestFailures failures;
  for (const auto& worker : run.workers()) failures.Add(worker->failures());
  const uint64_t errors = failures.requests();
  return absl::AbortedError(
      absl::StrCat(errors, errors == 1 ? " request" : " requests",
                   " to segment ", segment, " failed:", failures.ToString()));
}

// Opening cannot be interrupted and may take long, so a signal ends the process
// in the midst of it: nothing has been measured yet, and a target of our own
// ends with us.
absl::StatusOr<SegmentId> OpenSegment(TransferEngine& engine,
                                      const std::string& segment,
                                      Duration timeout,
                                      program::StopSignal& stop) {
  const UniqueFd opened(eventfd(0, EFD_CLOEXEC));
  if (!opened.valid()) return ErrnoToStatus(errno, "eventfd");
  absl::StatusOr<SegmentId> id = SegmentId{};
  TE_ASSIGN_OR_RETURN(Thread thread,
                      Thread::Start({.name = "bench-connect"}, [&] {
                        id = engine.OpenSegment(segment, timeout);
                        eventfd_write(opened.get(), 1);
                      }));
  pollfd fds[] = {{.fd = opened.get(), .events = POLLIN, .revents = 0},
                  {.fd = stop.fd(), .events = POLLIN, .revents = 0}};
  while (fds[0].revents == 0) {
    poll(fds, std::size(fds), -1);
    if (const int signal = stop.Take(); signal != 0) {
      std::cerr << "transfer_bench: stopped by signal " << signal
                << " while connecting to " << segment << std::endl;
      std::_Exit(1);
    }
  }
  thread.Join();
  return id;
}

// The first word of the rail's name is its transport's. Without a rail it is
// one of those that the engine has.
std::string TransportTo(const std::string& segment,
                        const EngineStatus& status) {
  for (const EngineStatus::Segment& each : status.segments) {
    if (each.name != segment || each.rail.empty()) continue;
    return each.rail.substr(0, each.rail.find(' '));
  }
  return absl::StrJoin(status.transports, "+");
}

void LogStops(const WorkloadRun& run) {
  for (size_t i = 0; i < run.workers().size(); ++i) {
    LOG(INFO) << "Worker " << i << " stopped! " << run.workers()[i]->batches()
              << " batches";
  }
}

}  // namespace

Initiator::Initiator(TransferEngine& engine, const BenchOptions& options,
                     BenchMemory& memory, program::StopSignal& stop)
    : engine_(engine),
      options_(options),
      memory_(memory),
      stop_(stop),
      progress_(STDERR_FILENO) {}

absl::StatusOr<std::unique_ptr<Initiator>> Initiator::Create(
    TransferEngine& engine, const BenchOptions& options, BenchMemory& memory,
    program::StopSignal& stop) {
  std::unique_ptr<Initiator> initiator(
      new Initiator(engine, options, memory, stop));
  TE_RETURN_IF_ERROR(memory.AddTo(engine, Access::kLocalOnly));
  return initiator;
}

Initiator::~Initiator() {
  if (segment_ != SegmentId{}) {
    engine_.CloseSegment(segment_).IgnoreError();
  }
  const absl::Status status = memory_.RemoveFrom(engine_, kUnregisterTimeout);
  LOG_IF(WARNING, !status.ok()) << "unregister memory: " << status;
}

absl::Status Initiator::Connect(const std::string& segment) {
  segment_name_ = segment;
  TE_ASSIGN_OR_RETURN(
      segment_, OpenSegment(engine_, segment,
                            options_.engine.engine.connect_timeout, stop_));
  TE_ASSIGN_OR_RETURN(const auto descriptor, engine_.DescribeSegment(segment_));
  for (const BufferDescriptor& buffer : descriptor->buffers) {
    if (!buffer.remote_read || !buffer.remote_write) continue;
    remote_.push_back({.address = buffer.address, .length = buffer.length});
  }
  if (remote_.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("segment ", segment, " has no buffer to read and write"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<WorkloadRun::Place>> Initiator::PlacesFor(
    const Workload& workload) const {
  const auto local = memory_.buffers();
  std::vector<WorkloadRun::Place> places;
  for (int i = 0; i < workload.threads; ++i) {
    const RemoteBuffer& remote = remote_[i % remote_.size()];
    if (remote.length < workload.Footprint()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the target's buffer has ", program::FormatSize(remote.length),
          ", but ", workload.threads, " threads x ", workload.batch_size,
          " requests x ", program::FormatSize(workload.block_size), " need ",
          program::FormatSize(workload.Footprint()),
          "; start the target with a larger --buffer_size"));
    }
    const BenchMemory::Buffer& buffer = local[i % local.size()];
    places.push_back(
        {.worker = {.segment = segment_,
                    .local = buffer.bytes.data(),
                    .remote = remote.address},
         .cpus = local.size() > 1 ? buffer.cpus : std::vector<int>()});
  }
  return places;
}

int Initiator::Watch(WorkloadRun& run, const Workload& workload) {
  constexpr int kTickMs = 200;
  pollfd fds[] = {{.fd = run.finished_fd(), .events = POLLIN, .revents = 0},
                  {.fd = stop_.fd(), .events = POLLIN, .revents = 0}};
  int ended_by = 0;
  while (fds[0].revents == 0) {
    poll(fds, std::size(fds), kTickMs);
    if (const int signal = stop_.Take(); signal != 0) {
      // The second one is from somebody who does not want to wait.
      if (ended_by != 0) std::_Exit(128 + signal);
      ended_by = signal;
      run.Stop();
    }
    const uint64_t bytes = run.bytes();
    progress_.Show(DescribeProgress(workload, bytes, run.elapsed(),
                                    options_.duration, options_.unit,
                                    options_.precision));
  }
  progress_.Clear();
  run.Join();
  return ended_by;
}

absl::Status Initiator::RunOne(const Workload& workload, Report& report) {
  TE_ASSIGN_OR_RETURN(const std::vector<WorkloadRun::Place> places,
                      PlacesFor(workload));
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<WorkloadRun> run,
                      WorkloadRun::Start(engine_, places, workload,
                                         options_.duration, options_.verify));
  const int signal = Watch(*run, workload);
  LogStops(*run);
  Row row = run->Result();
  row.transport = TransportTo(segment_name_, engine_.Status());
  if (signal == 0 || row.errors > 0 || row.batches > 0) report.Add(row);
  if (row.errors > 0) return Failure(segment_name_, *run);
  if (signal != 0) {
    return absl::CancelledError(
        absl::StrCat("stopped by signal ", signal, " before the end"));
  }
  return absl::OkStatus();
}

absl::Status Initiator::Run(Report& report) {
  for (const Workload& workload : options_.workloads) {
    TE_RETURN_IF_ERROR(RunOne(workload, report));
  }
  return absl::OkStatus();
}

}  // namespace te::bench
