#include "te/sim/sim_options.h"

#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"
#include "te/program/flag_checks.h"
#include "te/program/name_list.h"
#include "te/sim/policy.h"
#include "te/sim/scenario.h"

namespace te::sim {
namespace {

using program::BadFlag;
using program::IntFlag;

// More would not fit into memory.
constexpr int kMaxHosts = 10'000;
constexpr int kMaxRails = 64;
constexpr int kMaxGbps = 100'000;

absl::StatusOr<std::vector<Policy>> ParsePolicies(const std::string& text) {
  std::vector<Policy> policies;
  if (text == "all") {
    policies.assign(std::begin(kPolicies), std::end(kPolicies));
    return policies;
  }
  for (const std::string& name : program::ParseNameList(text)) {
    const absl::StatusOr<Policy> policy = ParsePolicy(name);
    if (!policy.ok()) return BadFlag("policy", policy.status().message());
    policies.push_back(*policy);
  }
  if (policies.empty()) return BadFlag("policy", "there is none");
  return policies;
}

std::vector<std::string> NamesOf(const std::string& text) {
  if (text != "all") return program::ParseNameList(text);
  std::vector<std::string> names;
  for (const ScenarioName& scenario : ScenarioNames()) {
    names.emplace_back(scenario.name);
  }
  return names;
}

// Which one MakeScenario does not like.
absl::string_view FlagOf(const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) return "hosts";
  return absl::IsOutOfRange(status) ? "seconds" : "scenario";
}

}  // namespace

absl::StatusOr<SimOptions> ParseSimOptions(const SimFlags& flags) {
  if (flags.svg == "-") {
    return BadFlag("svg", "the tables go to stdout already");
  }
  SimOptions options = {.svg = flags.svg};
  TE_ASSIGN_OR_RETURN(options.policies, ParsePolicies(flags.policy));
  ScenarioScale scale = {.seconds = flags.seconds};
  TE_ASSIGN_OR_RETURN(scale.hosts, IntFlag("hosts", flags.hosts, 0, kMaxHosts));
  TE_ASSIGN_OR_RETURN(scale.rails, IntFlag("rails", flags.rails, 0, kMaxRails));
  TE_ASSIGN_OR_RETURN(scale.gbps, IntFlag("gbps", flags.gbps, 0, kMaxGbps));
  if (flags.seed < 0) {
    return BadFlag("seed", absl::StrCat(flags.seed, " is negative"));
  }
  scale.seed = static_cast<uint64_t>(flags.seed);
  for (const std::string& name : NamesOf(flags.scenario)) {
    absl::StatusOr<Scenario> scenario = MakeScenario(name, scale);
    if (!scenario.ok()) {
      return BadFlag(FlagOf(scenario.status()), scenario.status().message());
    }
    options.scenarios.push_back(*std::move(scenario));
  }
  if (options.scenarios.empty()) return BadFlag("scenario", "there is none");
  return options;
}

}  // namespace te::sim
