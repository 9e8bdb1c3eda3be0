// The program: its flags, and what they ask for.

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <ios>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/program/exit_status.h"
#include "te/program/program.h"
#include "te/program/text_file.h"
#include "te/program/text_table.h"
#include "te/sim/report.h"
#include "te/sim/report_picture.h"
#include "te/sim/scenario.h"
#include "te/sim/sim_options.h"

namespace te::sim {
namespace {

const SimFlags& Defaults() {
  static const SimFlags defaults;
  return defaults;
}

}  // namespace
}  // namespace te::sim

using te::sim::Defaults;

DEFINE_string(scenario, Defaults().scenario,
              "what is simulated, of those that --list shows: one, several "
              "with commas, or all");
DEFINE_string(policy, Defaults().policy,
              "who chooses the rails: scheduler, as the engine does; "
              "round_robin, random or least_in_flight; several with commas, or "
              "all, side by side");
DEFINE_int64(hosts, Defaults().hosts,
             "how many there are, up to 10000. 0: as the scenario has it");
DEFINE_int64(rails, Defaults().rails,
             "NICs of a host, up to 64. 0: as the scenario has it");
DEFINE_int64(
    gbps, Defaults().gbps,
    "the rate of a NIC, in Gb/s, up to 100000. 0: as the scenario has it");
DEFINE_int64(seed, Defaults().seed,
             "equal seeds give equal results to the last digit");
DEFINE_double(seconds, Defaults().seconds,
              "time that is simulated. 0: as the scenario has it");
DEFINE_string(svg, Defaults().svg,
              "a file for a picture of the throughput over time");
DEFINE_bool(list, false, "shows the scenarios, and ends");

namespace te::sim {
namespace {

constexpr absl::string_view kIntroduction =
    R"(te_sim shows how the engine's choice of rails does in a cluster that is only
simulated, and how others would.

  te_sim --list
  te_sim --scenario=throttled
  te_sim --scenario=all --svg=all.svg

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"scenario", "policy", "hosts",
                                  "rails",    "gbps",   "seed",
                                  "seconds",  "svg",    "list"};

constexpr program::Description kProgram = {.name = "te_sim",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/sim/te_sim.cc"};

std::string ListText() {
  std::vector<std::vector<std::string>> rows;
  for (const ScenarioName& scenario : ScenarioNames()) {
    rows.push_back(
        {std::string(scenario.name), std::string(scenario.description)});
  }
  return program::FormatTable(rows);
}

// Before an hour of simulation, and without a change to the file.
absl::Status CheckWritable(const std::string& path) {
  if (path.empty() || std::ofstream(path, std::ios::app).is_open()) {
    return absl::OkStatus();
  }
  return ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
}

absl::Status Show(const SimOptions& options) {
  TE_RETURN_IF_ERROR(CheckWritable(options.svg));
  std::vector<Report> reports;
  for (const Scenario& scenario : options.scenarios) {
    TE_ASSIGN_OR_RETURN(Report report, RunScenario(scenario, options.policies));
    if (!reports.empty()) std::cout << "\n";
    std::cout << ReportText(report) << std::flush;
    reports.push_back(std::move(report));
  }
  if (options.svg.empty()) return absl::OkStatus();
  return program::WriteTextFile(options.svg, ReportsSvg(reports));
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(const SimOptions options,
                      ParseSimOptions({.scenario = FLAGS_scenario,
                                       .policy = FLAGS_policy,
                                       .hosts = FLAGS_hosts,
                                       .rails = FLAGS_rails,
                                       .gbps = FLAGS_gbps,
                                       .seed = FLAGS_seed,
                                       .seconds = FLAGS_seconds,
                                       .svg = FLAGS_svg}));
  if (FLAGS_list) {
    std::cout << ListText();
    return absl::OkStatus();
  }
  return program::AtRunTime(Show(options));
}

}  // namespace
}  // namespace te::sim

int main(int argc, char** argv) {
  return te::program::Run(te::sim::kProgram, {argv, static_cast<size_t>(argc)},
                          te::sim::Run);
}
