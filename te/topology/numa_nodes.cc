#include "te/topology/numa_nodes.h"

#include <hwloc.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "te/topology/hwloc_topology.h"

namespace te {
namespace {

NumaNode FromObject(const hwloc_obj& object) {
  NumaNode node{
      .index = static_cast<int>(object.os_index),
      .memory_bytes = object.attr->numanode.local_memory,
  };
  for (int cpu = hwloc_bitmap_first(object.cpuset); cpu != -1;
       cpu = hwloc_bitmap_next(object.cpuset, cpu)) {
    node.cpus.push_back(cpu);
  }
  return node;
}

}  // namespace

std::vector<NumaNode> NumaNodesOf(const HwlocTopology& topology) {
  std::vector<NumaNode> nodes;
  hwloc_obj_t object = nullptr;
  while ((object = hwloc_get_next_obj_by_type(
              topology.get(), HWLOC_OBJ_NUMANODE, object)) != nullptr) {
    nodes.push_back(FromObject(*object));
  }
  // hwloc's order is that of the tree.
  std::sort(
      nodes.begin(), nodes.end(),
      [](const NumaNode& a, const NumaNode& b) { return a.index < b.index; });
  return nodes;
}

}  // namespace te
