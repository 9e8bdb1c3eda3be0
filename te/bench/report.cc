#include "te/bench/report.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/program/size_text.h"

namespace te::bench {
namespace {

double Microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// Three significant digits or more, without needless decimals.
std::string FormatLatency(Duration duration) {
  const double us = Microseconds(duration);
  return absl::StrFormat("%.*f", us < 100 ? 1 : 0, us);
}

double PerSecond(uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

class TableReport final : public Report {
 public:
  TableReport(std::ostream& out, RateUnit unit, int precision)
      : out_(out), unit_(std::move(unit)), precision_(precision) {}

  void Add(const Row& row) override {
    if (rows_++ == 0) PrintHeading();
    const Workload& load = row.workload;
    const std::string rate = absl::StrFormat(
        "%.*f", precision_, unit_.Rate(row.bytes, row.duration_s));
    out_ << absl::StrFormat(
        kColumns, row.transport, TrafficName(load.traffic),
        program::FormatSize(load.block_size), absl::StrCat(load.batch_size),
        absl::StrCat(load.threads), absl::StrCat(row.batches), rate,
        absl::StrFormat("%.0f", PerSecond(row.requests, row.duration_s)),
        FormatLatency(row.latency.Quantile(0.5)),
        FormatLatency(row.latency.Quantile(0.9)),
        FormatLatency(row.latency.Quantile(0.99)),
        FormatLatency(row.latency.Quantile(0.999)),
        FormatLatency(row.latency.max()));
    if (row.errors > 0) out_ << "  " << row.errors << " errors";
    out_ << std::endl;
    duration_s_ += row.duration_s;
    batches_ += row.batches;
    bytes_ += row.bytes;
    verified_bytes_ += row.verified_bytes;
    errors_ += row.errors;
  }

  void Finish() override {
    if (rows_ == 0) return;
    if (verified_bytes_ > 0 && errors_ == 0) {
      out_ << "Verified " << program::FormatSize(verified_bytes_)
           << ": every byte is where it belongs.\n";
    }
    out_ << absl::StrFormat(
                "Test completed: duration %.2f, batch count %d, "
                "throughput %.*f %s/s",
                duration_s_, batches_, precision_,
                unit_.Rate(bytes_, duration_s_), unit_.name)
         << std::endl;
  }

 private:
  static constexpr char kColumns[] =
      "%-9s %-5s %8s %6s %7s %11s %8s %11s %9s %9s %9s %9s %9s";

  // Where the five columns of latency begin.
  static constexpr int kLatencyColumn = 74;

  void PrintHeading() {
    out_ << absl::StrFormat("%*s", kLatencyColumn, "")
         << "latency of a batch, us\n"
         << absl::StrFormat(kColumns, "transport", "op", "block", "batch",
                            "threads", "iterations",
                            absl::StrCat(unit_.name, "/s"), "requests/s", "p50",
                            "p90", "p99", "p99.9", "max")
         << '\n';
  }

  std::ostream& out_;
  const RateUnit unit_;
  const int precision_;
  uint64_t rows_ = 0;
  double duration_s_ = 0;
  uint64_t batches_ = 0;
  uint64_t bytes_ = 0;
  uint64_t verified_bytes_ = 0;
  uint64_t errors_ = 0;
};

class JsonReport final : public Report {
 public:
  explicit JsonReport(std::ostream& out) : out_(out) {}

  void Add(const Row& row) override {
    const Workload& load = row.workload;
    out_ << absl::StrFormat(
                R"({"transport": "%s", "operation": "%s", )"
                R"("block_size": %d, "batch_size": %d, "threads": %d, )"
                R"("duration_s": %.6f, "requests": %d, "bytes": %d, )"
                R"("gb_per_s": %.6f, "requests_per_s": %.3f, )",
                row.transport, TrafficName(load.traffic), load.block_size,
                load.batch_size, load.threads, row.duration_s, row.requests,
                row.bytes, RateUnit().Rate(row.bytes, row.duration_s),
                PerSecond(row.requests, row.duration_s))
         << absl::StrFormat(
                R"("latency_us": {"p50": %.3f, "p90": %.3f, "p99": %.3f, )"
                R"("p999": %.3f, "max": %.3f}, )"
                R"("verified_bytes": %d, "errors": %d})",
                Microseconds(row.latency.Quantile(0.5)),
                Microseconds(row.latency.Quantile(0.9)),
                Microseconds(row.latency.Quantile(0.99)),
                Microseconds(row.latency.Quantile(0.999)),
                Microseconds(row.latency.max()), row.verified_bytes, row.errors)
         << std::endl;
  }

  void Finish() override {}

 private:
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Report> MakeTableReport(std::ostream& out, RateUnit unit,
                                        int precision) {
  return std::make_unique<TableReport>(out, std::move(unit), precision);
}

std::unique_ptr<Report> MakeJsonReport(std::ostream& out) {
  return std::make_unique<JsonReport>(out);
}

}  // namespace te::bench
