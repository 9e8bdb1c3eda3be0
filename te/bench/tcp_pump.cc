// What one direction of plain TCP over loopback can do: a process writes and
// another one reads, with the memory footprint of a transfer and no protocol at
// all. The bound that te's TCP transport is measured against.

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/bench/stream_pair.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"

DEFINE_string(write_size, "64K", "bytes of each send");
DEFINE_string(read_size, "256K", "bytes of each receive, at most");
DEFINE_string(footprint, "16M",
              "bytes that each stream cycles through, at "
              "both ends");
DEFINE_int32(streams, 1, "connections, each with a thread at both ends");
DEFINE_double(duration, 2, "seconds to measure");

namespace te::bench {
namespace {

using program::CheckRange;
using program::SecondsFlag;
using program::SizeFlag;

struct Settings {
  uint64_t write_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t footprint = 0;
  Duration duration = {};
};

// Writes until the reader closes the connection.
void Write(const UniqueFd& stream, const Settings& settings) {
  const std::vector<std::byte> memory(settings.footprint, std::byte{1});
  size_t at = 0;
  while (true) {
    const size_t length =
        std::min(settings.write_bytes, settings.footprint - at);
    const ssize_t sent = send(stream.get(), &memory[at], length, MSG_NOSIGNAL);
    if (sent <= 0) return;
    at = (at + sent) % settings.footprint;
  }
}

// Reads until `stop`.
void Read(const UniqueFd& stream, const Settings& settings,
          std::atomic<uint64_t>& received, const std::atomic<bool>& stop) {
  std::vector<std::byte> memory(settings.footprint);
  size_t at = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    const size_t length =
        std::min(settings.read_bytes, settings.footprint - at);
    const ssize_t count = recv(stream.get(), &memory[at], length, 0);
    if (count <= 0) return;
    at = (at + count) % settings.footprint;
    received.fetch_add(count, std::memory_order_relaxed);
  }
}

template <typename Body>
absl::StatusOr<std::vector<Thread>> StartForEach(const Streams& streams,
                                                 const Body& body) {
  std::vector<Thread> threads;
  for (const UniqueFd& stream : streams) {
    TE_ASSIGN_OR_RETURN(
        threads.emplace_back(),
        Thread::Start({.name = "pump"}, [&stream, body] { body(stream); }));
  }
  return threads;
}

// Waits for the first bytes, but not for ever: on a busy machine threads may
// take long to begin.
void AwaitTraffic(const std::atomic<uint64_t>& received) {
  const MonotonicTime deadline = RealClock().Now() + std::chrono::seconds(30);
  while (received.load() == 0 && RealClock().Now() < deadline) {
    std::this_thread::yield();
  }
}

// Lets the threads work for that long.
void Pause(Duration time) {
  std::this_thread::sleep_until(RealClock().Now() + time);
}

absl::StatusOr<Settings> ReadSettings() {
  constexpr uint64_t kMostBytes = 1 << 30;
  constexpr int kMostStreams = 256;
  Settings settings;
  TE_ASSIGN_OR_RETURN(settings.write_bytes,
                      SizeFlag("write_size", FLAGS_write_size, 1, kMostBytes));
  TE_ASSIGN_OR_RETURN(settings.read_bytes,
                      SizeFlag("read_size", FLAGS_read_size, 1, kMostBytes));
  TE_ASSIGN_OR_RETURN(settings.footprint,
                      SizeFlag("footprint", FLAGS_footprint, 1, kMostBytes));
  TE_RETURN_IF_ERROR(CheckRange("streams", FLAGS_streams, 1, kMostStreams));
  TE_ASSIGN_OR_RETURN(settings.duration,
                      SecondsFlag("duration", FLAGS_duration));
  return settings;
}

constexpr absl::string_view kIntroduction =
    R"(tcp_pump measures what one direction of plain TCP over loopback can do, between
two processes. It prints one JSON object.

  tcp_pump --streams=4

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"write_size", "read_size", "footprint",
                                  "streams", "duration"};

constexpr program::Description kProgram = {.name = "tcp_pump",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/bench/tcp_pump.cc"};

absl::Status Measure(const Settings& settings) {
  constexpr Duration kWarmUp = std::chrono::milliseconds(100);
  pid_t child = 0;
  TE_ASSIGN_OR_RETURN(
      Streams streams,
      ForkWithStreams(
          FLAGS_streams,
          [&](Streams ends) {
            return StartForEach(
                       ends, [&](const UniqueFd& end) { Write(end, settings); })
                .status();
          },
          child));
  std::atomic<uint64_t> received{0};
  std::atomic<bool> stop{false};
  TE_ASSIGN_OR_RETURN(std::vector<Thread> threads,
                      StartForEach(streams, [&](const UniqueFd& end) {
                        Read(end, settings, received, stop);
                      }));
  AwaitTraffic(received);
  Pause(kWarmUp);
  const MonotonicTime begin = RealClock().Now();
  const uint64_t before = received.load();
  Pause(settings.duration);
  const double seconds =
      std::chrono::duration<double>(RealClock().Now() - begin).count();
  const uint64_t bytes = received.load() - before;
  stop.store(true);
  threads.clear();
  streams.clear();
  TE_RETURN_IF_ERROR(WaitForChild(child));
  std::cout << absl::StrFormat(
      R"({"program": "tcp_pump", "streams": %d, "write_size": %d, )"
      R"("duration_s": %.6f, "bytes": %d, "gb_per_s": %.6f})"
      "\n",
      FLAGS_streams, settings.write_bytes, seconds, bytes,
      static_cast<double>(bytes) / seconds / 1e9);
  return absl::OkStatus();
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(const Settings settings, ReadSettings());
  return program::AtRunTime(Measure(settings));
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  return te::program::Run(te::bench::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::bench::Run);
}
