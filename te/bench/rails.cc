// What the engine makes of several rails that are unequal, slow, or fail. The
// devices are shaped, so that they and not this machine are the limit.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/options.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma_cluster.h"
#include "te/transfer_engine.h"

DEFINE_uint32(rails, 4, "NICs of each host, 1 to 32");
DEFINE_uint64(megabytes_per_second, 100, "bandwidth of a rail, 10 to 100000");
DEFINE_double(seconds, 2, "time of each measurement, 0.1 to 3600");

namespace te::bench {
namespace {

using program::CheckRange;

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint64_t kMegabyte = 1'000'000;
constexpr size_t kRequest = 256 << 10;
constexpr size_t kUnderWay = 192;
constexpr size_t kShort = 4096;
constexpr Duration kEnough = std::chrono::seconds(60);
// Of the time that a rate is looked at.
constexpr Duration kStep = milliseconds(10);
constexpr Duration kWindow = milliseconds(50);

double Seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

// Bytes over time. Thread-safe.
class Timeline {
 public:
  void Add(uint64_t bytes) {
    MutexLock lock(mutex_);
    points_.emplace_back(RealClock().Now(), bytes);
  }
  // Bytes per second between two times.
  double Rate(MonotonicTime begin, MonotonicTime end) const {
    uint64_t bytes = 0;
    MutexLock lock(mutex_);
    for (const auto& [time, count] : points_) {
      if (time >= begin && time < end) bytes += count;
    }
    return static_cast<double>(bytes) / Seconds(end - begin);
  }
  // How long after `begin` the rate over a window is that much for the first
  // time; negative: not until `end`.
  Duration TimeUntil(double rate, MonotonicTime begin,
                     MonotonicTime end) const {
    for (MonotonicTime at = begin; at + kWindow <= end; at += kStep) {
      if (Rate(at, at + kWindow) >= rate) return at - begin;
    }
    return Duration(-1);
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::pair<MonotonicTime, uint64_t>> points_;
};

class Bench {
 public:
  explicit Bench(const std::vector<uint64_t>& bandwidths)
      : bandwidths_(bandwidths) {
    for (const char* host : {"a", "b"}) {
      size_t next = 0;
      cluster_.AddHost(host, static_cast<uint8_t>(bandwidths.size()),
                       [&](rdma::emulated::EmulatedDeviceSpec& spec) {
                         spec.bytes_per_second = bandwidths[next++];
                         spec.latency = microseconds(20);
                       });
    }
  }

  // Before all else.
  absl::Status Start() {
    TE_ASSIGN_OR_RETURN(client_, StartEngine("a", local_));
    TE_ASSIGN_OR_RETURN(server_, StartEngine("b", remote_));
    TE_ASSIGN_OR_RETURN(segment_, client_->OpenSegment("b", kEnough));
    return absl::OkStatus();
  }

  rdma::emulated::EmulatedDevice& device(const char* host, size_t rail) {
    return cluster_.device(host, rail);
  }
  double sum() const {
    double all = 0;
    for (const uint64_t each : bandwidths_) all += static_cast<double>(each);
    return all;
  }
  const Timeline& timeline() const { return timeline_; }
  uint64_t failures() const { return failures_; }

  // Keeps requests under way for so long; those that are still under way then
  // stay so.
  void Load(Duration time) {
    const MonotonicTime end = RealClock().Now() + time;
    do {
      TopUp();
      under_way_[next_++ % kUnderWay].Wait(
          std::min(end, RealClock().Now() + milliseconds(1)));
    } while (RealClock().Now() < end);
  }
  // Puts a new request in the place of each that has ended.
  void TopUp() {
    under_way_.resize(kUnderWay);
    for (size_t block = 0; block < kUnderWay; ++block) {
      if (pending_[block] && !under_way_[block].finished()) continue;
      if (pending_[block]) Finish(under_way_[block]);
      under_way_[block] = Submit(kRequest, block);
      pending_[block] = true;
    }
  }
  void Drain() {
    for (size_t block = 0; block < under_way_.size(); ++block) {
      Finish(under_way_[block]);
      pending_[block] = false;
    }
  }
  // The time of one READ of 4 KiB.
  Duration ShortRead() {
    const MonotonicTime begin = RealClock().Now();
    Batch batch = Submit(kShort, kUnderWay, Operation::kRead);
    CHECK(batch.Wait()) << "a READ has not ended";
    if (!batch.status().ok()) ++failures_;
    return RealClock().Now() - begin;
  }

 private:
  absl::StatusOr<std::unique_ptr<TransferEngine>> StartEngine(
      const std::string& host, std::vector<std::byte>& memory) {
    TE_ASSIGN_OR_RETURN(std::unique_ptr<TransferEngine> engine,
                        cluster_.StartEngine(host));
    TE_RETURN_IF_ERROR(engine
                           ->RegisterMemory({.address = memory.data(),
                                             .length = memory.size()})
                           .status());
    return engine;
  }
  Batch Submit(size_t bytes, size_t block,
               Operation operation = Operation::kWrite) {
    const Request request = {
        .operation = operation,
        .local = local_.data() + block * kRequest,
        .segment = segment_,
        .remote_address =
            reinterpret_cast<uint64_t>(remote_.data()) + block * kRequest,
        .length = bytes};
    SubmitOptions options;
    if (bytes == kRequest) {
      options.on_finished = [this] { timeline_.Add(kRequest); };
    }
    auto batch = client_->Submit({&request, 1}, options);
    CHECK(batch.ok()) << batch.status();
    return *std::move(batch);
  }
  void Finish(Batch& batch) {
    CHECK(batch.Wait()) << "a request has not ended";
    if (batch.status().ok()) return;
    ++failures_;
    std::cout << "    " << batch.status() << '\n';
  }

  const std::vector<uint64_t> bandwidths_;
  RdmaCluster cluster_;
  std::vector<std::byte> local_ =
      std::vector<std::byte>((kUnderWay + 1) * kRequest);
  std::vector<std::byte> remote_ =
      std::vector<std::byte>((kUnderWay + 1) * kRequest);
  Timeline timeline_;
  std::unique_ptr<TransferEngine> server_;
  std::unique_ptr<TransferEngine> client_;
  SegmentId segment_;
  std::vector<Batch> under_way_;
  std::vector<bool> pending_ = std::vector<bool>(kUnderWay);
  size_t next_ = 0;
  uint64_t failures_ = 0;
};

Duration Time() {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(FLAGS_seconds));
}

std::vector<uint64_t> Equal() {
  return std::vector<uint64_t>(FLAGS_rails,
                               FLAGS_megabytes_per_second * kMegabyte);
}

void PrintRate(absl::string_view name, double rate, double ideal) {
  std::cout << std::left << std::setw(28) << name << std::right << std::fixed
            << std::setprecision(0) << std::setw(6) << rate / kMegabyte
            << " of " << ideal / kMegabyte << " MB/s, " << std::setprecision(3)
            << rate / ideal << std::endl;
}

void PrintTime(absl::string_view name, Duration time) {
  std::cout << "    " << name << ": ";
  if (time < Duration::zero()) {
    std::cout << "never" << std::endl;
  } else {
    std::cout << time / milliseconds(1) << " ms" << std::endl;
  }
}

double Measure(Bench& bench) {
  bench.Load(Time() / 2);
  const MonotonicTime begin = RealClock().Now();
  bench.Load(Time());
  return bench.timeline().Rate(begin, RealClock().Now());
}

// What is measured. Each prints what was reached, and returns how many requests
// failed.
absl::StatusOr<uint64_t> Healthy() {
  Bench bench(Equal());
  TE_RETURN_IF_ERROR(bench.Start());
  PrintRate("equal rails", Measure(bench), bench.sum());
  bench.Drain();
  return bench.failures();
}

absl::StatusOr<uint64_t> Throttled() {
  Bench bench(Equal());
  TE_RETURN_IF_ERROR(bench.Start());
  bench.Load(Time() / 2);
  const uint64_t full = FLAGS_megabytes_per_second * kMegabyte;
  bench.device("a", 0).SetBandwidth(full / 10);
  PrintRate("one throttled to 10%", Measure(bench),
            bench.sum() - 0.9 * static_cast<double>(full));
  bench.Drain();
  return bench.failures();
}

absl::StatusOr<uint64_t> Unequal() {
  std::vector<uint64_t> bandwidths = Equal();
  for (size_t i = 0; i < bandwidths.size(); i += 2) bandwidths[i] /= 4;
  Bench bench(bandwidths);
  TE_RETURN_IF_ERROR(bench.Start());
  PrintRate("every other has a quarter", Measure(bench), bench.sum());
  bench.Drain();
  return bench.failures();
}

// `host`: at which end the port goes down and comes back.
absl::StatusOr<uint64_t> Cut(const char* host) {
  Bench bench(Equal());
  TE_RETURN_IF_ERROR(bench.Start());
  const double healthy = Measure(bench);
  const double rest = bench.sum() - bench.sum() / FLAGS_rails;
  bench.device(host, 0).SetPortActive(1, false);
  const MonotonicTime cut = RealClock().Now();
  bench.Load(Time());
  const MonotonicTime restored = RealClock().Now();
  bench.device(host, 0).SetPortActive(1, true);
  bench.Load(Time() + kWindow);
  const MonotonicTime end = RealClock().Now();
  bench.Drain();
  const std::string end_name = host == std::string("a") ? "near" : "far";
  PrintRate("one cut at the " + end_name + " end",
            bench.timeline().Rate(cut, restored), rest);
  PrintTime("95% of the others' rate after",
            bench.timeline().TimeUntil(0.95 * rest, cut, restored));
  PrintTime("95% of what it was, once restored, after",
            bench.timeline().TimeUntil(0.95 * healthy, restored, end));
  std::cout << "    failed requests: " << bench.failures() << std::endl;
  return bench.failures();
}

Duration Quantile(std::vector<Duration> times, double share) {
  const auto index =
      static_cast<size_t>(share * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(),
                   times.begin() + static_cast<std::ptrdiff_t>(index),
                   times.end());
  return times[index];
}

absl::StatusOr<uint64_t> Mixed() {
  Bench bench(Equal());
  TE_RETURN_IF_ERROR(bench.Start());
  bench.Load(Time() / 2);
  bench.Drain();
  std::vector<Duration> alone;
  std::vector<Duration> loaded;
  for (const MonotonicTime end = RealClock().Now() + Time();
       RealClock().Now() < end;) {
    alone.push_back(bench.ShortRead());
  }
  const MonotonicTime begin = RealClock().Now();
  for (const MonotonicTime end = begin + Time(); RealClock().Now() < end;) {
    bench.TopUp();
    loaded.push_back(bench.ShortRead());
  }
  PrintRate("bulk beside READs of 4 KiB",
            bench.timeline().Rate(begin, RealClock().Now()), bench.sum());
  bench.Drain();
  for (const double share : {0.5, 0.99}) {
    const Duration a = Quantile(alone, share);
    const Duration b = Quantile(loaded, share);
    std::cout << "    p" << static_cast<int>(share * 100)
              << " of them: " << a / microseconds(1) << " us alone, "
              << b / microseconds(1) << " us beside bulk, "
              << std::setprecision(2) << Seconds(b) / Seconds(a) << std::endl;
  }
  return bench.failures();
}

constexpr absl::string_view kIntroduction =
    R"(rails measures what te makes of several rails that are unequal, slow, or cut:
two engines in this process, over RDMA devices that are emulated and shaped. It
prints for each case what was reached, as a share of what the rails allow, too,
and how long that took after one was cut, and restored.

  rails --rails=8

Exit status: 0; 1, a request failed, or something else, and stderr says what; 2,
a flag is wrong.
)";

constexpr const char* kFlags[] = {"rails", "megabytes_per_second", "seconds"};

constexpr program::Description kProgram = {.name = "rails",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/bench/rails.cc"};

absl::Status CheckFlags() {
  TE_RETURN_IF_ERROR(CheckRange("rails", FLAGS_rails, 1, 32));
  TE_RETURN_IF_ERROR(CheckRange("seconds", FLAGS_seconds, 0.1, 3600));
  return CheckRange("megabytes_per_second",
                    static_cast<double>(FLAGS_megabytes_per_second), 10,
                    100'000);
}

absl::StatusOr<uint64_t> MeasureAll() {
  std::vector<std::function<absl::StatusOr<uint64_t>()>> cases = {
      Healthy, Throttled, Unequal};
  if (FLAGS_rails > 1) {
    cases.emplace_back([] { return Cut("a"); });
    cases.emplace_back([] { return Cut("b"); });
  }
  cases.emplace_back(Mixed);
  uint64_t failures = 0;
  for (const auto& measure : cases) {
    TE_ASSIGN_OR_RETURN(const uint64_t failed, measure());
    failures += failed;
  }
  return failures;
}

absl::Status Run() {
  TE_RETURN_IF_ERROR(CheckFlags());
  FLAGS_minloglevel = google::GLOG_ERROR;
  google::InitGoogleLogging(kProgram.name);
  std::cout << FLAGS_rails << " rails of " << FLAGS_megabytes_per_second
            << " MB/s" << std::endl;
  const absl::StatusOr<uint64_t> failures = MeasureAll();
  if (!failures.ok()) return program::AtRunTime(failures.status());
  if (*failures == 0) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("requests failed: ", *failures));
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  return te::program::Run(te::bench::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::bench::Run);
}
