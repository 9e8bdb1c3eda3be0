#ifndef TE_TOOLS_TOPO_JSON_H_
#define TE_TOOLS_TOPO_JSON_H_

#include <string>

#include "te/tools/topo_report.h"

namespace te::tools {

// A topology for programs: one object with numa_nodes, numa_latencies, nics,
// gpus, net_devices, pci_bridges, matrix, distances and warnings. What is not
// known is null. The matrix has all locations, also those without a device:
//
//   "matrix": {"cpu:0": {"preferred": ["mlx5_0"], "fallback": []}}
std::string TopoJson(const TopoReport& report);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_JSON_H_
