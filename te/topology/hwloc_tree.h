#ifndef TE_TOPOLOGY_HWLOC_TREE_H_
#define TE_TOPOLOGY_HWLOC_TREE_H_

#include <stdint.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/topology/device_place.h"
#include "te/topology/machine.h"
#include "te/topology/numa_node.h"

namespace te {

// What an operating system calls a device: "eth0", "mlx5_0".
struct OsDevice {
  // kGpu: of a GPU's driver or library, "cuda0", "nvml0".
  enum class Kind : uint8_t { kNetwork, kRdma, kGpu, kOther };
  Kind kind = Kind::kOther;
  std::string name;
  DevicePlace place;
  // hwloc's name-value pairs, such as Port1State.
  std::map<std::string, std::string> infos;
};

// A PCI function that is no bridge.
struct PciFunction {
  DevicePlace place;
  uint16_t class_id = 0;  // base class and sub-class: 0x0207 is InfiniBand
  uint16_t vendor_id = 0;
  uint16_t device_id = 0;
  std::string vendor;  // empty if hwloc does not know the name
  std::string model;
};

// What hwloc knows of a machine, as far as a Machine is made of it.
struct HwlocTree {
  std::vector<NumaNode> nodes;  // by ascending index; at least one
  std::map<std::pair<int, int>, int> numa_latencies;
  std::vector<PciBridge> bridges;  // parents before children
  std::vector<PciFunction> functions;
  std::vector<OsDevice> os_devices;
  // What was left out because it could not be understood.
  std::vector<std::string> warnings;
};

// Reads the XML of hwloc 1 and 2 (`lstopo --of xml`, HwlocXmlOfThisMachine),
// and anything else: INVALID_ARGUMENT says what is wrong and in which line.
// hwloc's own reader is not used, because it trusts what it reads: changing a
// few bytes at random makes version 2.9 crash. A pure function.
absl::StatusOr<HwlocTree> ParseHwlocTree(absl::string_view xml);

}  // namespace te

#endif  // TE_TOPOLOGY_HWLOC_TREE_H_
