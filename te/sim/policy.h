#ifndef TE_SIM_POLICY_H_
#define TE_SIM_POLICY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/core/short_traffic.h"
#include "te/sim/rail_policy.h"

namespace te::sim {

enum class Policy : uint8_t {
  kScheduler,
  kRoundRobin,
  kRandom,
  kLeastInFlight,
};

inline constexpr Policy kPolicies[] = {Policy::kScheduler, Policy::kRoundRobin,
                                       Policy::kRandom, Policy::kLeastInFlight};

// "scheduler", "round_robin", "random", "least_in_flight".
absl::string_view PolicyName(Policy policy);
// INVALID_ARGUMENT quotes what is no name of one.
absl::StatusOr<Policy> ParsePolicy(absl::string_view name);

// For one host and one of its peers. `link_rates`: of the host's NICs, in bytes
// per second. `short_traffic`: of that host.
std::unique_ptr<RailPolicy> MakePolicy(
    Policy policy, const std::vector<double>& link_rates,
    std::shared_ptr<ShortTraffic> short_traffic, uint64_t seed);

}  // namespace te::sim

#endif  // TE_SIM_POLICY_H_
