#ifndef TE_SIM_SCENARIO_H_
#define TE_SIM_SCENARIO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/sim/simulation.h"

namespace te::sim {

// What a user may change of a scenario; 0: as it has it itself.
struct ScenarioScale {
  uint32_t hosts = 0;
  uint32_t rails = 0;
  // Of each NIC.
  uint32_t gbps = 0;
  double seconds = 0;
  uint64_t seed = 1;
};

// A cluster, what it does, and what happens to it.
struct Scenario {
  // After `from`, and before `until`, the throughput is to reach `level`.
  struct Milestone {
    std::string title;
    Duration from{};
    Duration until{};
    double level = 0;
  };

  std::string name;
  std::string description;
  // The policy is up to who runs it.
  SimulationOptions simulation;
  std::vector<Milestone> milestones;
  // Bytes per second that the hosts ask for; 0: as many as they get.
  double offered = 0;
};

struct ScenarioName {
  absl::string_view name;
  absl::string_view description;
};

// All of them, in the order in which they should be read.
std::vector<ScenarioName> ScenarioNames();

// INVALID_ARGUMENT if there is none of that name or number of rails,
// FAILED_PRECONDITION if it needs more hosts, and OUT_OF_RANGE if it cannot
// take so long.
absl::StatusOr<Scenario> MakeScenario(absl::string_view name,
                                      const ScenarioScale& scale);

}  // namespace te::sim

#endif  // TE_SIM_SCENARIO_H_
