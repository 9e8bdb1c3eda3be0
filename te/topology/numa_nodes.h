#ifndef TE_TOPOLOGY_NUMA_NODES_H_
#define TE_TOPOLOGY_NUMA_NODES_H_

#include <vector>

#include "te/topology/hwloc_topology.h"
#include "te/topology/numa_node.h"

namespace te {

// The nodes of a machine by ascending index, at least one: a machine without
// NUMA is one node. A pure function.
std::vector<NumaNode> NumaNodesOf(const HwlocTopology& topology);

}  // namespace te

#endif  // TE_TOPOLOGY_NUMA_NODES_H_
