#ifndef TE_TOPOLOGY_NUMA_NODE_H_
#define TE_TOPOLOGY_NUMA_NODE_H_

#include <stdint.h>

#include <optional>
#include <vector>

#include "te/topology/pci_address.h"

namespace te {

// A NUMA node: memory, and the CPUs next to it. A value.
struct NumaNode {
  // The kernel's number: N of "cpu:N". Numbers may have gaps.
  int index = 0;
  // The CPUs' numbers, ascending. Memory that has none of its own, as HBM and
  // CXL, has those that it is near to, as far as hwloc knows; that of a GPU
  // has none.
  std::vector<int> cpus;
  uint64_t memory_bytes = 0;
  // The socket's number; -1 where it belongs to none, or to several.
  int package = -1;
  // Whether this process may use its memory (cpuset.mems of its cgroup).
  bool allowed = true;
  // The GPU whose memory it is, as on Grace Hopper.
  std::optional<PciAddress> gpu;

  friend bool operator==(const NumaNode&, const NumaNode&) = default;
};

}  // namespace te

#endif  // TE_TOPOLOGY_NUMA_NODE_H_
