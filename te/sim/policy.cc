#include "te/sim/policy.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/core/rail_scheduler.h"
#include "te/core/short_traffic.h"
#include "te/sim/early_policy.h"
#include "te/sim/least_in_flight_policy.h"
#include "te/sim/rail_policy.h"
#include "te/sim/scheduler_policy.h"

namespace te::sim {
namespace {

// Of policies that know none: 256 work requests of 64 KiB each, as Mooncake has
// by default on a queue pair.
constexpr uint64_t kWindow = 16 << 20;

}  // namespace

absl::string_view PolicyName(Policy policy) {
  switch (policy) {
    case Policy::kScheduler:
      return "scheduler";
    case Policy::kRoundRobin:
      return "round_robin";
    case Policy::kRandom:
      return "random";
    case Policy::kLeastInFlight:
      return "least_in_flight";
  }
  return "";
}

absl::StatusOr<Policy> ParsePolicy(absl::string_view name) {
  for (const Policy policy : kPolicies) {
    if (PolicyName(policy) == name) return policy;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name,
                   "\" is none of scheduler, round_robin, random and "
                   "least_in_flight"));
}

std::unique_ptr<RailPolicy> MakePolicy(
    Policy policy, const std::vector<double>& link_rates,
    std::shared_ptr<ShortTraffic> short_traffic, uint64_t seed) {
  switch (policy) {
    case Policy::kRoundRobin:
      return std::make_unique<EarlyPolicy>(EarlyPolicy::Order::kRoundRobin,
                                           link_rates.size(), kWindow, seed);
    case Policy::kRandom:
      return std::make_unique<EarlyPolicy>(EarlyPolicy::Order::kRandom,
                                           link_rates.size(), kWindow, seed);
    case Policy::kLeastInFlight:
      return std::make_unique<LeastInFlightPolicy>(link_rates.size(), kWindow);
    case Policy::kScheduler:
      break;
  }
  return std::make_unique<SchedulerPolicy>(link_rates, RailScheduler::Options(),
                                           std::move(short_traffic));
}

}  // namespace te::sim
