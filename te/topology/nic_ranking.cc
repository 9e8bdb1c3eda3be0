#include "te/topology/nic_ranking.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/nic_preference.h"
#include "te/base/status_macros.h"
#include "te/topology/device_place.h"
#include "te/topology/nic.h"
#include "te/topology/nic_lookup.h"

namespace te {
namespace {

// The names of a policy, as those of RDMA devices.
struct Exclusions {
  std::set<std::string> allowed;
  std::set<std::string> denied;

  // Empty if the policy has nothing against the NIC.
  absl::string_view WhyExcluded(const Nic& nic) const {
    if (denied.contains(nic.name)) return "it is denied";
    if (!allowed.empty() && !allowed.contains(nic.name)) {
      return "it is not among the allowed ones";
    }
    return "";
  }
};

absl::StatusOr<std::set<std::string>> Resolve(
    const Machine& machine, const std::vector<std::string>& names) {
  std::set<std::string> resolved;
  for (const std::string& name : names) {
    TE_ASSIGN_OR_RETURN(const Nic* nic, FindNic(machine, name));
    resolved.insert(nic->name);
  }
  return resolved;
}

absl::StatusOr<Exclusions> Resolve(const Machine& machine,
                                   const NicPolicy& policy) {
  Exclusions exclusions;
  TE_ASSIGN_OR_RETURN(exclusions.allowed, Resolve(machine, policy.allowed));
  TE_ASSIGN_OR_RETURN(exclusions.denied, Resolve(machine, policy.denied));
  for (const std::string& name : exclusions.allowed) {
    if (exclusions.denied.contains(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the NIC ", name, " is both allowed and denied"));
    }
  }
  return exclusions;
}

double RateOf(const Nic& nic) {
  const NicPort* port = MainPort(nic);
  return port == nullptr ? 0 : port->rate_gbps;
}

// What is equal of two NICs is equally good.
auto Merit(const Machine& machine, const RankedNic& ranked) {
  return std::make_tuple(ranked.standing == Standing::kLeftOut, ranked.distance,
                         -RateOf(machine.nics[ranked.nic]));
}

RankedNic Judge(const Machine& machine, size_t index, MemoryLocation location,
                const DevicePlace& memory, const Exclusions& exclusions) {
  const Nic& nic = machine.nics[index];
  RankedNic ranked = {.nic = index};
  if (const absl::string_view why = exclusions.WhyExcluded(nic); !why.empty()) {
    ranked.reason = absl::StrCat("left out: ", why);
  } else if (const std::string broken = WhyUnusable(nic); !broken.empty()) {
    ranked.reason = absl::StrCat("left out: ", broken);
  } else {
    ranked.standing = Standing::kFallback;
  }
  if (location.kind() == MemoryLocation::Kind::kAny) {
    if (ranked.reason.empty())
      ranked.reason = "for memory that may be anywhere";
    return ranked;
  }
  ranked.distance = DistanceBetween(machine, memory, nic.place);
  if (ranked.reason.empty()) {
    ranked.reason = DescribeWay(machine, memory, nic.place);
  }
  return ranked;
}

// Rotates each group of equally good NICs.
void Spread(const Machine& machine, uint32_t spread,
            std::vector<RankedNic>& ranking) {
  for (auto first = ranking.begin(); first != ranking.end();) {
    const auto last =
        std::find_if(first, ranking.end(), [&](const RankedNic& ranked) {
          return Merit(machine, ranked) != Merit(machine, *first);
        });
    if (first->standing != Standing::kLeftOut) {
      std::rotate(first, first + spread % (last - first), last);
    }
    first = last;
  }
}

std::vector<RankedNic> Rank(const Machine& machine, MemoryLocation location,
                            const DevicePlace& memory,
                            const Exclusions& exclusions, uint32_t spread) {
  std::vector<RankedNic> ranking;
  for (size_t i = 0; i < machine.nics.size(); ++i) {
    ranking.push_back(Judge(machine, i, location, memory, exclusions));
  }
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&](const RankedNic& a, const RankedNic& b) {
                     return Merit(machine, a) < Merit(machine, b);
                   });
  Spread(machine, spread, ranking);
  for (RankedNic& ranked : ranking) {
    if (ranked.standing != Standing::kLeftOut &&
        ranked.distance == ranking.front().distance) {
      ranked.standing = Standing::kPreferred;
    }
  }
  return ranking;
}

NicPreference PreferenceOf(const Machine& machine,
                           const std::vector<RankedNic>& ranking) {
  NicPreference preference;
  // A host of virtual machines may have hundreds of virtual functions.
  const size_t count = std::min(ranking.size(), PriorityMatrix::kMaxNics);
  for (const RankedNic& ranked : absl::MakeSpan(ranking).first(count)) {
    const std::string& name = machine.nics[ranked.nic].name;
    if (ranked.standing == Standing::kPreferred) {
      preference.preferred.push_back(name);
    } else if (ranked.standing == Standing::kFallback) {
      preference.fallback.push_back(name);
    }
  }
  return preference;
}

}  // namespace

absl::StatusOr<std::vector<RankedNic>> RankNics(const Machine& machine,
                                                MemoryLocation location,
                                                const NicPolicy& policy) {
  TE_ASSIGN_OR_RETURN(const Exclusions exclusions, Resolve(machine, policy));
  TE_ASSIGN_OR_RETURN(const DevicePlace memory, PlaceOf(machine, location));
  return Rank(machine, location, memory, exclusions, policy.spread);
}

absl::StatusOr<PriorityMatrix> MakeMatrix(const Machine& machine,
                                          const NicPolicy& policy) {
  PriorityMatrix::Preferences preferences;
  for (const MemoryLocation& location : LocationsOf(machine)) {
    TE_ASSIGN_OR_RETURN(const std::vector<RankedNic> ranking,
                        RankNics(machine, location, policy));
    NicPreference preference = PreferenceOf(machine, ranking);
    if (!preference.preferred.empty()) {
      preferences[location] = std::move(preference);
    }
  }
  return PriorityMatrix::Create(std::move(preferences));
}

absl::StatusOr<PriorityMatrix> ResolveMatrix(const Machine& machine,
                                             const PriorityMatrix& matrix) {
  PriorityMatrix::Preferences preferences = matrix.preferences();
  for (auto& [location, preference] : preferences) {
    for (auto* names : {&preference.preferred, &preference.fallback}) {
      for (std::string& name : *names) {
        TE_ASSIGN_OR_RETURN(const Nic* nic, FindNic(machine, name));
        name = nic->name;
      }
    }
  }
  return PriorityMatrix::Create(std::move(preferences));
}

}  // namespace te
