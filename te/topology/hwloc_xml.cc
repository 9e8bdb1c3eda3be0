#include "te/topology/hwloc_xml.h"

#include <errno.h>
#include <hwloc.h>

#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/errno_status.h"
#include "te/base/mutex.h"

namespace te {
namespace {

struct DestroyTopology {
  void operator()(hwloc_topology_t topology) const {
    hwloc_topology_destroy(topology);
  }
};
using OwnedTopology =
    std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;

// Components that come as plugins. PCI is read from sysfs without "pci" too,
// only without the names of pci.ids.
constexpr const char* kUnwantedComponents[] = {
    "cuda", "gl", "levelzero", "nvml", "opencl", "pci", "rsmi",
};

// Settings that a version of hwloc does not know are no reason to fail: they
// make it quicker.
void Configure(hwloc_topology_t topology) {
  for (const char* component : kUnwantedComponents) {
    hwloc_topology_set_components(
        topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  }
  hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE,
                                 HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_MISC,
                                 HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_io_types_filter(topology,
                                     HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  // A NIC next to a node that this process may not use is far from the nodes
  // that it may use; without that node hwloc would show it next to all.
  hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
}

}  // namespace

absl::StatusOr<std::string> HwlocXmlOfThisMachine() {
  // hwloc asks libudev, which makes a table's random key when it is first used:
  // two threads that do so at once may find nothing in each other's tables.
  static Mutex mutex;
  const MutexLock lock(mutex);
  hwloc_topology_t created = nullptr;
  if (hwloc_topology_init(&created) != 0) {
    return ErrnoToStatus(errno, "hwloc_topology_init");
  }
  const OwnedTopology topology(created);
  Configure(topology.get());
  if (hwloc_topology_load(topology.get()) != 0) {
    return ErrnoToStatus(
        errno, "discover this machine's topology with hwloc; is /sys mounted?");
  }
  if (hwloc_topology_is_thissystem(topology.get()) == 0) {
    return absl::FailedPreconditionError(
        "hwloc describes another machine than this one: HWLOC_XMLFILE, "
        "HWLOC_SYNTHETIC or HWLOC_FSROOT is set in the environment; unset it");
  }
  char* xml = nullptr;
  int length = 0;
  if (hwloc_topology_export_xmlbuffer(topology.get(), &xml, &length, 0) != 0) {
    return ErrnoToStatus(errno, "write this machine's topology as XML");
  }
  const std::string copy(xml);
  hwloc_free_xmlbuffer(topology.get(), xml);
  return copy;
}

}  // namespace te
