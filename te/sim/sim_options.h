#ifndef TE_SIM_SIM_OPTIONS_H_
#define TE_SIM_SIM_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/sim/policy.h"
#include "te/sim/scenario.h"

namespace te::sim {

// As on the command line.
struct SimFlags {
  std::string scenario = "healthy";
  std::string policy = "all";
  int64_t hosts = 0;
  int64_t rails = 0;
  int64_t gbps = 0;
  int64_t seed = 1;
  double seconds = 0;
  std::string svg;
};

struct SimOptions {
  std::vector<Scenario> scenarios;
  std::vector<Policy> policies;
  // Where a picture is to be written; empty: nowhere.
  std::string svg;
};

// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<SimOptions> ParseSimOptions(const SimFlags& flags);

}  // namespace te::sim

#endif  // TE_SIM_SIM_OPTIONS_H_
