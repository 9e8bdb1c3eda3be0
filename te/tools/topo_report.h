#ifndef TE_TOOLS_TOPO_REPORT_H_
#define TE_TOOLS_TOPO_REPORT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/topology/machine.h"
#include "te/topology/nic_ranking.h"
#include "te/topology/priority_matrix.h"

namespace te::tools {

// What te_topo shows: a machine, and for each location of its memory where the
// NICs stand.
struct TopoReport {
  struct Location {
    MemoryLocation memory;
    std::vector<RankedNic> nics;
  };

  Machine machine;
  std::vector<Location> locations;
  // Without the locations for which no NIC can be used.
  PriorityMatrix matrix;
};

// Fails as RankNics does.
absl::StatusOr<TopoReport> MakeTopoReport(Machine machine,
                                          const NicPolicy& policy);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_REPORT_H_
