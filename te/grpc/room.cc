#include "te/grpc/room.h"

#include <errno.h>
#include <sys/eventfd.h>

#include <array>
#include <latch>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te {
namespace {

// Seen of gRPC 1.51 on two CPUs: 7 descriptors and 8 threads for the first
// server and channel. Its pools have a thread for each CPU at first, and then
// grow as they can.
constexpr int kDescriptors = 16;
constexpr int kThreads = 12;

absl::Status CheckDescriptors() {
  std::array<UniqueFd, kDescriptors> descriptors;
  for (UniqueFd& fd : descriptors) {
    fd.reset(eventfd(0, EFD_CLOEXEC));
    if (fd.valid()) continue;
    return absl::ResourceExhaustedError(absl::StrCat(
        "gRPC needs ", kDescriptors,
        " descriptors: ", ErrnoToStatus(errno, "eventfd").message(),
        "; raise the limit of open files (ulimit -n), or close some"));
  }
  return absl::OkStatus();
}

absl::Status CheckThreads() {
  // Declared after the latch, so that they end before it.
  std::latch enough(1);
  std::array<Thread, kThreads> threads;
  absl::Status status;
  for (Thread& thread : threads) {
    absl::StatusOr<Thread> started =
        Thread::Start({.name = "te-grpc-room"}, [&enough] { enough.wait(); });
    if (!started.ok()) {
      status = absl::ResourceExhaustedError(absl::StrCat(
          "gRPC needs ", kThreads, " threads: ", started.status().message(),
          "; raise the limit of processes (ulimit -u) or of memory, or the "
          "container's pids limit"));
      break;
    }
    thread = *std::move(started);
  }
  enough.count_down();
  return status;
}

}  // namespace

absl::Status CheckRoomForGrpc() {
  if (absl::Status status = CheckDescriptors(); !status.ok()) return status;
  return CheckThreads();
}

}  // namespace te
