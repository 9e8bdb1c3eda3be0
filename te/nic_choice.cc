#include "te/nic_choice.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/topology/discovery.h"
#include "te/topology/machine_summary.h"
#include "te/topology/nic.h"
#include "te/topology/nic_lookup.h"
#include "te/topology/nic_ranking.h"

namespace te {
namespace {

absl::StatusOr<std::shared_ptr<const Machine>> Discover() {
  TE_ASSIGN_OR_RETURN(Machine machine, DiscoverMachine());
  LOG(INFO) << "topology: " << SummarizeMachine(machine);
  for (const std::string& warning : machine.warnings) LOG(WARNING) << warning;
  return std::make_shared<const Machine>(std::move(machine));
}

absl::StatusOr<PriorityMatrix> GivenMatrix(const NicOptions& options,
                                           const Machine& machine) {
  if (!options.allowed.empty() || !options.denied.empty()) {
    return absl::InvalidArgumentError(
        "a NIC priority matrix names the NICs, so none can be allowed or "
        "denied beside it");
  }
  TE_ASSIGN_OR_RETURN(const PriorityMatrix matrix,
                      PriorityMatrix::FromJson(*options.priority_matrix));
  return ResolveMatrix(machine, matrix);
}

// The allowed ones for everything, as they were given.
absl::StatusOr<PriorityMatrix> AllowedForAll(const NicOptions& options,
                                             const Machine& machine) {
  if (!options.denied.empty()) {
    return absl::InvalidArgumentError(
        "NICs can be denied only where they are chosen by distance");
  }
  if (options.allowed.empty()) return PriorityMatrix();
  TE_ASSIGN_OR_RETURN(const PriorityMatrix matrix,
                      PriorityMatrix::Create(
                          {{MemoryLocation(),
                            {.preferred = options.allowed, .fallback = {}}}}));
  return ResolveMatrix(machine, matrix);
}

absl::StatusOr<PriorityMatrix> MatrixFor(const NicOptions& options,
                                         const Machine& machine) {
  if (options.priority_matrix.has_value()) return GivenMatrix(options, machine);
  if (!options.by_distance) return AllowedForAll(options, machine);
  return MakeMatrix(machine,
                    {.allowed = options.allowed,
                     .denied = options.denied,
                     .spread = options.spread.has_value()
                                   ? *options.spread
                                   : uint32_t{std::random_device()()}});
}

}  // namespace

absl::StatusOr<NicChoice> ChooseNics(const NicOptions& options) {
  const bool names_nics = options.priority_matrix.has_value() ||
                          !options.allowed.empty() || !options.denied.empty();
  if (!names_nics && !options.by_distance) return NicChoice();
  NicChoice choice = {.matrix = {}, .machine = options.machine};
  if (choice.machine == nullptr) {
    absl::StatusOr<std::shared_ptr<const Machine>> found = Discover();
    if (!found.ok() && names_nics) return found.status();
    if (!found.ok()) {
      // TCP and shared memory do without.
      LOG(WARNING) << "no NIC is used, because the topology of this machine is "
                      "unknown: "
                   << found.status();
      return choice;
    }
    choice.machine = *std::move(found);
  }
  TE_ASSIGN_OR_RETURN(choice.matrix, MatrixFor(options, *choice.machine));
  return choice;
}

}  // namespace te
