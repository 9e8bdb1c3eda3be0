#ifndef TE_TOPOLOGY_DEVICE_PLACE_H_
#define TE_TOPOLOGY_DEVICE_PLACE_H_

#include <optional>
#include <string>
#include <vector>

#include "te/topology/pci_address.h"

namespace te {

// Where in a machine a device is. A value.
struct DevicePlace {
  // Nothing for what software alone makes, as Soft-RoCE does.
  std::optional<PciAddress> pci;
  // The kernel's name of the device itself: that of the PCI function, or of
  // what is below it, "mlx5_core.sf.4". Empty if unknown, as from an XML alone.
  std::string device;
  // The bridge above it, an index of Machine::bridges; -1 if unknown.
  int bridge = -1;
  // The NUMA nodes next to it, ascending: one, or several where it is attached
  // to a whole socket. Empty if unknown.
  std::vector<int> nodes;

  // The node where there is exactly one, else -1, as in sysfs.
  int numa_node() const { return nodes.size() == 1 ? nodes.front() : -1; }

  friend bool operator==(const DevicePlace&, const DevicePlace&) = default;
};

}  // namespace te

#endif  // TE_TOPOLOGY_DEVICE_PLACE_H_
