// What can be moved between the memory of two processes without te: by the
// kernel, with a process_vm_readv or process_vm_writev for each block, or by
// copying between memory that both map.

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gflags/gflags.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/bench/bench_memory.h"
#include "te/bench/latency_histogram.h"
#include "te/bench/memory_source.h"
#include "te/bench/stream_pair.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"
#include "te/topology/numa_node.h"
#include "te/transport/shm/copy_bytes.h"

DEFINE_string(way, "cma",
              "cma: by the kernel; else how memory that both processes map is "
              "copied: memcpy, movsb, stream_avx2, stream_avx512");
DEFINE_string(operation, "read", "read|write");
DEFINE_string(block_size, "64K", "bytes of each call");
DEFINE_string(buffer_size, "64M", "bytes at both ends, gone through in order");
DEFINE_int32(threads, 1, "threads, each of which goes through its own part");
DEFINE_double(duration, 2, "seconds to measure");

namespace te::bench {
namespace {

using program::BadFlag;
using program::IntFlag;
using program::SecondsFlag;
using program::SizeFlag;

constexpr int kMostThreads = 64;

struct Work {
  // Unset: by the kernel.
  std::optional<shm::CopyWay> way;
  bool read = false;
  uint64_t block = 0;
  uint64_t buffer = 0;
  int threads = 0;
  Duration duration{};
};

absl::StatusOr<std::optional<shm::CopyWay>> ParseWay() {
  std::vector<absl::string_view> names = {"cma"};
  if (FLAGS_way == names.front()) return std::nullopt;
  for (const shm::CopyWay way : shm::AvailableWays()) {
    names.push_back(shm::NameOf(way));
    if (FLAGS_way == names.back()) return way;
  }
  return BadFlag("way", absl::StrCat("\"", FLAGS_way, "\" is none of ",
                                     absl::StrJoin(names, ", "),
                                     ", which this processor has"));
}

absl::StatusOr<Work> ParseFlags() {
  Work work;
  TE_ASSIGN_OR_RETURN(work.way, ParseWay());
  if (FLAGS_operation != "read" && FLAGS_operation != "write") {
    return BadFlag("operation", absl::StrCat("\"", FLAGS_operation,
                                             "\"; use read or write"));
  }
  work.read = FLAGS_operation == "read";
  TE_ASSIGN_OR_RETURN(work.threads,
                      IntFlag("threads", FLAGS_threads, 1, kMostThreads));
  TE_ASSIGN_OR_RETURN(work.duration, SecondsFlag("duration", FLAGS_duration));
  constexpr uint64_t kMostBytes = uint64_t{1} << 40;
  TE_ASSIGN_OR_RETURN(work.block,
                      SizeFlag("block_size", FLAGS_block_size, 1, kMostBytes));
  TE_ASSIGN_OR_RETURN(
      work.buffer, SizeFlag("buffer_size", FLAGS_buffer_size, 1, kMostBytes));
  if (work.buffer / work.threads < work.block) {
    return BadFlag(
        "buffer_size",
        absl::StrCat(FLAGS_buffer_size, " has no block of ", FLAGS_block_size,
                     " for each of ", work.threads, " threads"));
  }
  return work;
}

// Memory that a child shares, or none: unmaps it in the end.
class SharedMemory {
 public:
  static absl::StatusOr<SharedMemory> Map(uint64_t size) {
    const UniqueFd fd(memfd_create("process_copy", MFD_CLOEXEC));
    if (!fd.valid()) return ErrnoToStatus(errno, "memfd_create");
    if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
      return ErrnoToStatus(errno, "ftruncate of a memfd");
    }
    void* const at =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return ErrnoToStatus(errno, "mmap of a memfd");
    return SharedMemory(static_cast<std::byte*>(at), size);
  }
  SharedMemory(SharedMemory&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})) {}
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory() {
    if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
  }

  absl::Span<std::byte> bytes() const { return bytes_; }

 private:
  SharedMemory(std::byte* at, uint64_t size) : bytes_(at, size) {}

  absl::Span<std::byte> bytes_;
};

// The same for both: pages are there, and of whoever has touched them first.
void Touch(absl::Span<std::byte> bytes) {
  memset(bytes.data(), 1, bytes.size());
}

absl::StatusOr<BenchMemory> MapTouched(uint64_t size) {
  const NumaNode node;
  TE_ASSIGN_OR_RETURN(
      BenchMemory memory,
      BenchMemory::Create(MemorySource::kUser, {&node, 1}, size));
  Touch(memory.buffers()[0].bytes);
  return memory;
}

// The other process: tells where its memory is, and keeps it until the stream
// ends.
absl::Status Lend(const UniqueFd& stream, absl::Span<std::byte> memory) {
  Touch(memory);
  const std::byte* const address = memory.data();
  if (send(stream.get(), &address, sizeof(address), MSG_NOSIGNAL) !=
      sizeof(address)) {
    return ErrnoToStatus(errno, "send");
  }
  char none = 0;
  if (recv(stream.get(), &none, 1, 0) < 0) return ErrnoToStatus(errno, "recv");
  return absl::OkStatus();
}

// What one thread goes through.
struct Part {
  std::byte* local = nullptr;
  std::byte* remote = nullptr;
  uint64_t size = 0;
};

absl::Status CopyBlock(const Work& work, pid_t pid, std::byte* local,
                       std::byte* remote) {
  if (work.way.has_value()) {
    shm::CopyBy(*work.way, work.read ? local : remote,
                work.read ? remote : local, work.block);
    return absl::OkStatus();
  }
  const iovec here = {.iov_base = local, .iov_len = work.block};
  const iovec there = {.iov_base = remote, .iov_len = work.block};
  const auto copy = work.read ? process_vm_readv : process_vm_writev;
  if (copy(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(work.block)) {
    return ErrnoToStatus(errno, "process_vm_readv or process_vm_writev");
  }
  return absl::OkStatus();
}

absl::StatusOr<LatencyHistogram> MeasurePart(const Work& work, pid_t pid,
                                             const Part& part) {
  LatencyHistogram latency;
  MonotonicTime now = RealClock().Now();
  const MonotonicTime end = now + work.duration;
  for (uint64_t offset = 0; now < end;) {
    TE_RETURN_IF_ERROR(
        CopyBlock(work, pid, part.local + offset, part.remote + offset));
    offset += work.block;
    if (offset + work.block > part.size) offset = 0;
    const MonotonicTime done = RealClock().Now();
    latency.Record(done - now);
    now = done;
  }
  return latency;
}

// `local` and `remote` are parted among the threads.
absl::StatusOr<LatencyHistogram> Measure(const Work& work, pid_t pid,
                                         std::byte* local, std::byte* remote) {
  const uint64_t size = work.buffer / work.threads;
  std::vector<absl::StatusOr<LatencyHistogram>> results(
      work.threads, absl::UnknownError("not measured"));
  std::vector<Thread> threads;
  for (int i = 0; i < work.threads; ++i) {
    const Part part = {
        .local = local + i * size, .remote = remote + i * size, .size = size};
    TE_ASSIGN_OR_RETURN(Thread thread,
                        Thread::Start({.name = absl::StrCat("copy-", i)},
                                      [&work, &result = results[i], pid, part] {
                                        result = MeasurePart(work, pid, part);
                                      }));
    threads.push_back(std::move(thread));
  }
  threads.clear();
  LatencyHistogram all;
  for (const auto& result : results) {
    TE_RETURN_IF_ERROR(result.status());
    all.Add(*result);
  }
  return all;
}

// Maps memory of the same kind as that of the other process.
absl::StatusOr<LatencyHistogram> MeasureHere(const Work& work, pid_t pid,
                                             std::byte* remote) {
  if (work.way.has_value()) {
    TE_ASSIGN_OR_RETURN(const SharedMemory local,
                        SharedMemory::Map(work.buffer));
    Touch(local.bytes());
    // The other process has touched this, but here no page is mapped yet.
    Touch({remote, work.buffer});
    return Measure(work, pid, local.bytes().data(), remote);
  }
  TE_ASSIGN_OR_RETURN(const BenchMemory local, MapTouched(work.buffer));
  return Measure(work, pid, local.buffers()[0].bytes.data(), remote);
}

absl::StatusOr<LatencyHistogram> WithAnotherProcess(const Work& work) {
  std::optional<SharedMemory> shared;
  if (work.way.has_value()) {
    // Before the fork, so that both have it at the same address.
    TE_ASSIGN_OR_RETURN(SharedMemory memory, SharedMemory::Map(work.buffer));
    shared.emplace(std::move(memory));
  }
  const auto lend = [&](Streams ends) -> absl::Status {
    if (shared.has_value()) return Lend(ends.front(), shared->bytes());
    TE_ASSIGN_OR_RETURN(const BenchMemory memory, MapTouched(work.buffer));
    return Lend(ends.front(), memory.buffers()[0].bytes);
  };
  pid_t child = 0;
  TE_ASSIGN_OR_RETURN(Streams streams, ForkWithStreams(1, lend, child));
  std::byte* remote = nullptr;
  if (recv(streams.front().get(), &remote, sizeof(remote), MSG_WAITALL) !=
      sizeof(remote)) {
    return absl::UnavailableError("the other process has not begun");
  }
  TE_ASSIGN_OR_RETURN(LatencyHistogram latency,
                      MeasureHere(work, child, remote));
  streams.clear();
  TE_RETURN_IF_ERROR(WaitForChild(child));
  return latency;
}

double Microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

constexpr absl::string_view kIntroduction =
    R"(process_copy measures what can be moved between the memory of two processes
without te: by the kernel, or by copying between memory that both map. It prints
one JSON object.

  process_copy --way=cma --operation=write --block_size=1M

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"way",         "operation", "block_size",
                                  "buffer_size", "threads",   "duration"};

constexpr program::Description kProgram = {
    .name = "process_copy",
    .introduction = kIntroduction,
    .flags = kFlags,
    .source = "te/bench/process_copy.cc"};

absl::Status Measure(const Work& work) {
  TE_ASSIGN_OR_RETURN(const LatencyHistogram latency, WithAnotherProcess(work));
  const double bytes = static_cast<double>(latency.count() * work.block);
  std::cout << absl::StrFormat(
      R"({"program": "process_copy", "way": "%s", "operation": "%s", )"
      R"("block_size": %d, "threads": %d, )"
      R"("gb_per_s": %.3f, "latency_us": {"p50": %.3f, "p99": %.3f}})"
      "\n",
      FLAGS_way, FLAGS_operation, work.block, work.threads,
      bytes / 1e9 / FLAGS_duration, Microseconds(latency.Quantile(0.5)),
      Microseconds(latency.Quantile(0.99)));
  return absl::OkStatus();
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(const Work work, ParseFlags());
  return program::AtRunTime(Measure(work));
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  return te::program::Run(te::bench::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::bench::Run);
}
