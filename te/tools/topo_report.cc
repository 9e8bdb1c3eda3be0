#include "te/tools/topo_report.h"

#include <utility>

#include "absl/status/statusor.h"
#include "te/base/status_macros.h"
#include "te/topology/distance.h"

namespace te::tools {

absl::StatusOr<TopoReport> MakeTopoReport(Machine machine,
                                          const NicPolicy& policy) {
  TopoReport report = {.machine = std::move(machine)};
  for (const MemoryLocation& memory : LocationsOf(report.machine)) {
    TopoReport::Location location = {.memory = memory};
    TE_ASSIGN_OR_RETURN(location.nics,
                        RankNics(report.machine, memory, policy));
    report.locations.push_back(std::move(location));
  }
  TE_ASSIGN_OR_RETURN(report.matrix, MakeMatrix(report.machine, policy));
  return report;
}

}  // namespace te::tools
