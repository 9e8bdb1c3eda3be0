// How long a request and its reply take over plain TCP on loopback, between two
// processes that wait as te does: they look for a little while, then sleep.

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gflags/gflags.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/bench/latency_histogram.h"
#include "te/bench/stream_pair.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"

DEFINE_string(request_size, "4K", "bytes of a message, there");
DEFINE_string(reply_size, "4K", "bytes of a message, back");
DEFINE_double(spin_us, 50, "microseconds to look before sleeping");
DEFINE_double(duration, 2, "seconds to measure");

namespace te::bench {
namespace {

using program::MicrosecondsFlag;
using program::SecondsFlag;
using program::SizeFlag;

absl::Status Send(const UniqueFd& stream, absl::Span<const std::byte> message) {
  while (!message.empty()) {
    const ssize_t sent =
        send(stream.get(), message.data(), message.size(), MSG_NOSIGNAL);
    if (sent < 0) return ErrnoToStatus(errno, "send");
    message.remove_prefix(sent);
  }
  return absl::OkStatus();
}

// False at the end of the stream.
absl::StatusOr<bool> Receive(const UniqueFd& stream,
                             absl::Span<std::byte> message, Duration spin) {
  MonotonicTime sleep_from = RealClock().Now() + spin;
  while (!message.empty()) {
    const ssize_t count =
        recv(stream.get(), message.data(), message.size(), MSG_DONTWAIT);
    if (count == 0) return false;
    if (count > 0) {
      message.remove_prefix(count);
      continue;
    }
    if (errno != EAGAIN) return ErrnoToStatus(errno, "receive");
    if (RealClock().Now() < sleep_from) continue;
    pollfd ready{.fd = stream.get(), .events = POLLIN, .revents = 0};
    poll(&ready, 1, -1);
  }
  return true;
}

struct Settings {
  uint64_t request_bytes = 0;
  uint64_t reply_bytes = 0;
  Duration spin = {};
  Duration duration = {};
};

absl::Status Answer(const UniqueFd& stream, const Settings& settings) {
  std::vector<std::byte> request(settings.request_bytes);
  const std::vector<std::byte> reply(settings.reply_bytes);
  while (true) {
    TE_ASSIGN_OR_RETURN(
        const bool more,
        Receive(stream, absl::MakeSpan(request), settings.spin));
    if (!more) return absl::OkStatus();
    TE_RETURN_IF_ERROR(Send(stream, reply));
  }
}

absl::StatusOr<LatencyHistogram> Measure(const UniqueFd& stream,
                                         const Settings& settings) {
  LatencyHistogram latency;
  const std::vector<std::byte> request(settings.request_bytes);
  std::vector<std::byte> reply(settings.reply_bytes);
  MonotonicTime now = RealClock().Now();
  const MonotonicTime end = now + settings.duration;
  while (now < end) {
    TE_RETURN_IF_ERROR(Send(stream, request));
    TE_RETURN_IF_ERROR(
        Receive(stream, absl::MakeSpan(reply), settings.spin).status());
    const MonotonicTime back = RealClock().Now();
    latency.Record(back - now);
    now = back;
  }
  return latency;
}

double Microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

constexpr absl::string_view kIntroduction =
    R"(tcp_ping_pong measures how long a request and its reply take over plain TCP on
loopback, between two processes that look for a little while, then sleep. It
prints one JSON object.

  tcp_ping_pong --request_size=64 --reply_size=1M

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"request_size", "reply_size", "spin_us",
                                  "duration"};

constexpr program::Description kProgram = {
    .name = "tcp_ping_pong",
    .introduction = kIntroduction,
    .flags = kFlags,
    .source = "te/bench/tcp_ping_pong.cc"};

absl::StatusOr<Settings> ReadSettings() {
  constexpr uint64_t kMostBytes = 1 << 30;
  Settings settings;
  TE_ASSIGN_OR_RETURN(
      settings.request_bytes,
      SizeFlag("request_size", FLAGS_request_size, 1, kMostBytes));
  TE_ASSIGN_OR_RETURN(settings.reply_bytes,
                      SizeFlag("reply_size", FLAGS_reply_size, 1, kMostBytes));
  TE_ASSIGN_OR_RETURN(settings.duration,
                      SecondsFlag("duration", FLAGS_duration));
  TE_ASSIGN_OR_RETURN(settings.spin,
                      MicrosecondsFlag("spin_us", FLAGS_spin_us));
  return settings;
}

absl::Status MeasureWithChild(const Settings& settings) {
  pid_t child = 0;
  TE_ASSIGN_OR_RETURN(
      Streams streams,
      ForkWithStreams(
          1, [&](Streams ends) { return Answer(ends.front(), settings); },
          child));
  TE_ASSIGN_OR_RETURN(const LatencyHistogram latency,
                      Measure(streams.front(), settings));
  streams.clear();
  TE_RETURN_IF_ERROR(WaitForChild(child));
  std::cout << absl::StrFormat(
      R"({"program": "tcp_ping_pong", "request_size": %d, "reply_size": %d, )"
      R"("spin_us": %.1f, )"
      R"("round_trips": %d, "latency_us": {"p50": %.3f, "p90": %.3f, )"
      R"("p99": %.3f, "p999": %.3f, "max": %.3f}})"
      "\n",
      settings.request_bytes, settings.reply_bytes, FLAGS_spin_us,
      latency.count(), Microseconds(latency.Quantile(0.5)),
      Microseconds(latency.Quantile(0.9)), Microseconds(latency.Quantile(0.99)),
      Microseconds(latency.Quantile(0.999)), Microseconds(latency.max()));
  return absl::OkStatus();
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(const Settings settings, ReadSettings());
  return program::AtRunTime(MeasureWithChild(settings));
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  return te::program::Run(te::bench::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::bench::Run);
}
