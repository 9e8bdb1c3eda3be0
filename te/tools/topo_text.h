#ifndef TE_TOOLS_TOPO_TEXT_H_
#define TE_TOOLS_TOPO_TEXT_H_

#include <string>

#include "te/tools/topo_report.h"

namespace te::tools {

// A topology for people, as tables: NUMA nodes, RDMA devices, GPUs, network
// interfaces, which RDMA device has which netdev in the form of ibdev2netdev,
// which devices serve which memory, and what was odd.
std::string TopoText(const TopoReport& report);

// Why each RDMA device stands where it does for one location.
std::string ExplainText(const TopoReport& report,
                        const TopoReport::Location& location);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_TEXT_H_
