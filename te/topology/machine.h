#ifndef TE_TOPOLOGY_MACHINE_H_
#define TE_TOPOLOGY_MACHINE_H_

#include <stdint.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/strings/string_view.h"
#include "te/topology/gpu.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/numa_node.h"
#include "te/topology/pci_address.h"

namespace te {

// A branching point of the PCI tree. A value.
struct PciBridge {
  enum class Kind : uint8_t {
    // A root complex's: between the CPUs and a PCI root bus.
    kHost,
    // Between PCI buses: a root port, or a port of a PCIe switch.
    kPci,
  };
  Kind kind = Kind::kPci;
  // Of kPci.
  std::optional<PciAddress> pci;
  // The bridge above, an index of Machine::bridges; -1 for kHost.
  int parent = -1;
  // The buses below, "0000:[17-39]".
  std::string buses;
  // The NUMA nodes next to it, ascending.
  std::vector<int> nodes;

  friend bool operator==(const PciBridge&, const PciBridge&) = default;
};

// What a machine is made of, as far as it matters for moving bytes. A value.
struct Machine {
  // By ascending index; at least one.
  std::vector<NumaNode> nodes;
  // From a pair of NUMA nodes to the firmware's figure for the latency between
  // them (ACPI SLIT: 10 is local). Empty if the firmware says nothing.
  std::map<std::pair<int, int>, int> numa_latencies;
  // Parents come before children.
  std::vector<PciBridge> bridges;
  // By name, numbers by their value: mlx5_2 before mlx5_10.
  std::vector<Nic> nics;
  // By PCI address.
  std::vector<Gpu> gpus;
  // By name, as nics.
  std::vector<NetDevice> net_devices;
  // What was odd, for people; each names what it is about.
  std::vector<std::string> warnings;

  friend bool operator==(const Machine&, const Machine&) = default;
};

// What the machine has of that name or number; null if it has none.
const NetDevice* FindNetDevice(const Machine& machine
                                   ABSL_ATTRIBUTE_LIFETIME_BOUND,
                               absl::string_view name);
const NumaNode* FindNode(const Machine& machine ABSL_ATTRIBUTE_LIFETIME_BOUND,
                         int index);

}  // namespace te

#endif  // TE_TOPOLOGY_MACHINE_H_
