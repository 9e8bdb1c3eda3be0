#include "te/sim/report_picture.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/sim/chart.h"
#include "te/sim/policy.h"
#include "te/sim/report.h"
#include "te/sim/simulation.h"
#include "te/sim/statistics.h"

namespace te::sim {
namespace {

double Microseconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e3;
}

LineChart Throughputs(const Report& report) {
  const SimulationOptions& options = report.scenario.simulation;
  LineChart chart = {.title = absl::StrCat(report.scenario.name, ": ",
                                           report.scenario.description),
                     .x_label = "time (ms)",
                     .y_label = "throughput (GB/s)",
                     .step = Microseconds(options.bin) / 1e3};
  for (const double ideal : report.ideals) chart.ideal.push_back(ideal / 1e9);
  for (const Report::Row& row : report.rows) {
    LineChart::Line line = {.name = std::string(PolicyName(row.policy))};
    for (const double bytes : row.result.throughputs) {
      line.values.push_back(bytes / 1e9);
    }
    chart.lines.push_back(line);
  }
  return chart;
}

// Of short requests, if there are any: of long ones the throughput tells more.
BarChart Times(const Report& report) {
  bool shorts = false;
  for (const Report::Row& row : report.rows) {
    if (row.result.short_batches.count > 0) shorts = true;
  }
  BarChart chart = {.title = shorts ? "how long short requests take"
                                    : "how long long requests take",
                    .y_label = "time (us)",
                    .bars = {"p50", "p99", "longest"}};
  for (const Report::Row& row : report.rows) {
    const Latencies& latencies =
        shorts ? row.result.short_batches : row.result.long_batches;
    chart.groups.push_back(
        {.name = std::string(PolicyName(row.policy)),
         .values = {Microseconds(latencies.p50), Microseconds(latencies.p99),
                    Microseconds(latencies.longest)}});
  }
  return chart;
}

}  // namespace

std::string ReportsSvg(const std::vector<Report>& reports) {
  std::string charts;
  int y = 0;
  for (const Report& report : reports) {
    absl::StrAppend(&charts, DrawLines(Throughputs(report), 0, y),
                    DrawBars(Times(report), kChartWidth, y));
    y += kChartHeight;
  }
  return SvgPicture(2 * kChartWidth, y, charts);
}

}  // namespace te::sim
