#include "te/sim/report.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/program/text_table.h"
#include "te/sim/policy.h"
#include "te/sim/recovery.h"
#include "te/sim/scenario.h"
#include "te/sim/simulation.h"
#include "te/sim/statistics.h"

namespace te::sim {
namespace {

// A throughput is reached that lasts so long.
constexpr Duration kSteady = std::chrono::milliseconds(10);

std::string TimeText(Duration time) {
  const double us = static_cast<double>(time.count()) / 1e3;
  if (us < 1e3) return absl::StrFormat("%.1f us", us);
  if (us < 1e6) return absl::StrFormat("%.2f ms", us / 1e3);
  return absl::StrFormat("%.2f s", us / 1e6);
}

std::vector<std::string> LatencyCells(const Latencies& latencies) {
  if (latencies.count == 0) return {"-", "-"};
  return {TimeText(latencies.p50), TimeText(latencies.p99)};
}

// The least that a rail has carried, as a part of the most.
std::string FairnessText(const std::vector<uint64_t>& rail_bytes) {
  const auto [least, most] =
      std::minmax_element(rail_bytes.begin(), rail_bytes.end());
  if (*most == 0) return "-";
  return absl::StrFormat(
      "%.2f", static_cast<double>(*least) / static_cast<double>(*most));
}

std::vector<std::string> Header(const Scenario& scenario) {
  std::vector<std::string> cells = {
      "policy",    "GB/s",      "of ideal", "long p50", "long p99",
      "short p50", "short p99", "rails",    "wait",     "last",
      "done",      "failed",    "lost"};
  for (const Scenario::Milestone& milestone : scenario.milestones) {
    cells.push_back(milestone.title);
  }
  return cells;
}

std::string MilestoneText(const Scenario::Milestone& milestone,
                          const SimulationResult& result, Duration bin) {
  // There is nothing to reach, or no time for it.
  if (milestone.level <= 0 || milestone.until - milestone.from < kSteady) {
    return "-";
  }
  const std::optional<Duration> time =
      TimeToReach(result.throughputs, bin, milestone.from, milestone.until,
                  milestone.level, kSteady);
  return time.has_value() ? TimeText(*time) : "never";
}

std::vector<std::string> Cells(const Report& report, const Report::Row& row) {
  const SimulationResult& result = row.result;
  std::vector<std::string> cells = {
      std::string(PolicyName(row.policy)),
      absl::StrFormat("%.1f", result.throughput / 1e9),
      report.ideal > 0
          ? absl::StrFormat("%.1f%%", 100 * result.throughput / report.ideal)
          : "-"};
  for (const Latencies* latencies :
       {&result.long_batches, &result.short_batches}) {
    for (std::string& cell : LatencyCells(*latencies)) {
      cells.push_back(std::move(cell));
    }
  }
  cells.push_back(FairnessText(result.rail_bytes));
  cells.push_back(TimeText(result.longest_wait));
  cells.push_back(result.finished ? TimeText(result.last) : "-");
  for (const uint64_t count :
       {result.completed, result.failed, result.lost_slices}) {
    cells.push_back(absl::StrCat(count));
  }
  for (const Scenario::Milestone& milestone : report.scenario.milestones) {
    cells.push_back(
        MilestoneText(milestone, result, report.scenario.simulation.bin));
  }
  return cells;
}

}  // namespace

absl::StatusOr<Report> RunScenario(Scenario scenario,
                                   const std::vector<Policy>& policies) {
  Report report = {.scenario = std::move(scenario)};
  SimulationOptions& options = report.scenario.simulation;
  for (const Policy policy : policies) {
    options.policy = policy;
    TE_ASSIGN_OR_RETURN(SimulationResult result, Simulate(options));
    report.rows.push_back({.policy = policy, .result = std::move(result)});
  }
  report.ideal = IdealThroughput(options);
  report.ideals = IdealThroughputs(options);
  if (const double offered = report.scenario.offered; offered > 0) {
    report.ideal = std::min(report.ideal, offered);
    for (double& ideal : report.ideals) ideal = std::min(ideal, offered);
  }
  return report;
}

std::string ReportText(const Report& report) {
  const SimulationOptions& options = report.scenario.simulation;
  std::vector<std::vector<std::string>> table = {Header(report.scenario)};
  for (const Report::Row& row : report.rows) {
    table.push_back(Cells(report, row));
  }
  return absl::StrFormat(
      "%s: %s\n%d hosts, %d rails, %s, seed %d; ideal %.1f GB/s\n%s",
      report.scenario.name, report.scenario.description, options.network.hosts,
      options.network.nic_rates.size(), TimeText(options.duration),
      options.seed, report.ideal / 1e9, program::FormatTable(table));
}

}  // namespace te::sim
