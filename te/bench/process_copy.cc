// What the kernel moves between the memory of two processes: a bare loop of
// process_vm_readv or process_vm_writev, one call for each block, through
// memory like that of transfer_bench. Prints one JSON object.

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "gflags/gflags.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/bench/bench_memory.h"
#include "te/bench/latency_histogram.h"
#include "te/bench/memory_source.h"
#include "te/bench/stream_pair.h"
#include "te/program/command_line.h"
#include "te/program/size_text.h"
#include "te/topology/numa_node.h"

DEFINE_string(operation, "read", "read|write");
DEFINE_string(block_size, "64K", "bytes of each call");
DEFINE_string(buffer_size, "64M", "bytes at both ends, gone through in order");
DEFINE_double(duration, 2, "seconds to measure");

namespace te::bench {
namespace {

struct Work {
  bool read = false;
  uint64_t block = 0;
  uint64_t buffer = 0;
  Duration duration{};
};

absl::StatusOr<Work> ParseFlags() {
  Work work;
  TE_ASSIGN_OR_RETURN(work.block, program::ParseSize(FLAGS_block_size));
  TE_ASSIGN_OR_RETURN(work.buffer, program::ParseSize(FLAGS_buffer_size));
  if (FLAGS_operation != "read" && FLAGS_operation != "write") {
    return absl::InvalidArgumentError("--operation is read or write");
  }
  work.read = FLAGS_operation == "read";
  if (work.block == 0 || work.buffer < work.block || FLAGS_duration <= 0) {
    return absl::InvalidArgumentError(
        "sizes and times must be positive, and the buffer no smaller than a "
        "block");
  }
  work.duration = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(FLAGS_duration));
  return work;
}

absl::StatusOr<BenchMemory> MapTouched(uint64_t size) {
  const NumaNode node;
  TE_ASSIGN_OR_RETURN(
      BenchMemory memory,
      BenchMemory::Create(MemorySource::kUser, {&node, 1}, size));
  const absl::Span<std::byte> bytes = memory.buffers()[0].bytes;
  memset(bytes.data(), 1, bytes.size());
  return memory;
}

// The other process: tells where its memory is, and keeps it until the stream
// ends.
absl::Status Lend(const UniqueFd& stream, uint64_t size) {
  TE_ASSIGN_OR_RETURN(const BenchMemory memory, MapTouched(size));
  const std::byte* const address = memory.buffers()[0].bytes.data();
  if (send(stream.get(), &address, sizeof(address), MSG_NOSIGNAL) !=
      sizeof(address)) {
    return ErrnoToStatus(errno, "send");
  }
  char none = 0;
  if (recv(stream.get(), &none, 1, 0) < 0) return ErrnoToStatus(errno, "recv");
  return absl::OkStatus();
}

absl::StatusOr<LatencyHistogram> Measure(const Work& work, pid_t pid,
                                         std::byte* remote) {
  TE_ASSIGN_OR_RETURN(const BenchMemory memory, MapTouched(work.buffer));
  std::byte* const local = memory.buffers()[0].bytes.data();
  const auto copy = work.read ? process_vm_readv : process_vm_writev;
  LatencyHistogram latency;
  MonotonicTime now = RealClock().Now();
  const MonotonicTime end = now + work.duration;
  for (uint64_t offset = 0; now < end;) {
    const iovec here = {.iov_base = local + offset, .iov_len = work.block};
    const iovec there = {.iov_base = remote + offset, .iov_len = work.block};
    if (copy(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(work.block)) {
      return ErrnoToStatus(errno, "process_vm_readv or process_vm_writev");
    }
    offset += work.block;
    if (offset + work.block > work.buffer) offset = 0;
    const MonotonicTime done = RealClock().Now();
    latency.Record(done - now);
    now = done;
  }
  return latency;
}

double Microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

absl::Status Run(absl::Span<char* const> arguments) {
  TE_RETURN_IF_ERROR(program::ParseCommandLine(arguments.subspan(1)).status());
  TE_ASSIGN_OR_RETURN(const Work work, ParseFlags());
  pid_t child = 0;
  TE_ASSIGN_OR_RETURN(
      Streams streams,
      ForkWithStreams(
          1, [&](Streams ends) { return Lend(ends.front(), work.buffer); },
          child));
  std::byte* remote = nullptr;
  if (recv(streams.front().get(), &remote, sizeof(remote), MSG_WAITALL) !=
      sizeof(remote)) {
    return absl::UnavailableError("the other process has not begun");
  }
  TE_ASSIGN_OR_RETURN(const LatencyHistogram latency,
                      Measure(work, child, remote));
  streams.clear();
  TE_RETURN_IF_ERROR(WaitForChild(child));
  const double bytes = static_cast<double>(latency.count() * work.block);
  std::cout << absl::StrFormat(
      R"({"program": "process_copy", "operation": "%s", "block_size": %d, )"
      R"("gb_per_s": %.3f, "latency_us": {"p50": %.3f, "p99": %.3f}})"
      "\n",
      FLAGS_operation, work.block, bytes / 1e9 / FLAGS_duration,
      Microseconds(latency.Quantile(0.5)),
      Microseconds(latency.Quantile(0.99)));
  return absl::OkStatus();
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  const absl::Status status = te::bench::Run({argv, static_cast<size_t>(argc)});
  if (status.ok()) return 0;
  std::cerr << "process_copy: " << status.message() << std::endl;
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
