#ifndef TE_SIM_REPORT_H_
#define TE_SIM_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/sim/policy.h"
#include "te/sim/scenario.h"
#include "te/sim/simulation.h"

namespace te::sim {

// A scenario under each of several policies.
struct Report {
  struct Row {
    Policy policy = Policy::kScheduler;
    SimulationResult result;
  };

  Scenario scenario;
  // In bytes per second; what is offered if that is less.
  double ideal = 0;
  // The same of each bin.
  std::vector<double> ideals;
  std::vector<Row> rows;
};

// INVALID_ARGUMENT as Simulate has it.
absl::StatusOr<Report> RunScenario(Scenario scenario,
                                   const std::vector<Policy>& policies);

// As text: a table with a row for each policy.
std::string ReportText(const Report& report);

}  // namespace te::sim

#endif  // TE_SIM_REPORT_H_
