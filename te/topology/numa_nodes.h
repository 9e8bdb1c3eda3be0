#ifndef TE_TOPOLOGY_NUMA_NODES_H_
#define TE_TOPOLOGY_NUMA_NODES_H_

#include <stdint.h>

#include <vector>

#include "te/topology/hwloc_topology.h"

namespace te {

// A NUMA node: memory, and the CPUs next to it. A value.
struct NumaNode {
  // The kernel's number: N of "cpu:N". Numbers may have gaps.
  int index = 0;
  // The CPUs' numbers, ascending. Empty where a node is memory alone, as that
  // of a GPU or of a CXL device is.
  std::vector<int> cpus;
  uint64_t memory_bytes = 0;

  friend bool operator==(const NumaNode&, const NumaNode&) = default;
};

// The nodes of a machine by ascending index, at least one: a machine without
// NUMA is one node. A pure function.
std::vector<NumaNode> NumaNodesOf(const HwlocTopology& topology);

}  // namespace te

#endif  // TE_TOPOLOGY_NUMA_NODES_H_
