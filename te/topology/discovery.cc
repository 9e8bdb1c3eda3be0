#include "te/topology/discovery.h"

#include <stdint.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "te/base/status_macros.h"
#include "te/topology/device_name.h"
#include "te/topology/hwloc_tree.h"
#include "te/topology/hwloc_xml.h"
#include "te/topology/net_sysfs.h"
#include "te/topology/rdma_sysfs.h"
#include "te/topology/sysfs.h"

namespace te {
namespace {

// PCI vendors (pci-ids.ucw.cz).
constexpr uint16_t kNvidia = 0x10de;
constexpr uint16_t kAmd = 0x1002;
constexpr uint16_t kIntel = 0x8086;

std::string VendorName(const PciFunction& function) {
  switch (function.vendor_id) {
    case kNvidia:
      return "NVIDIA";
    case kAmd:
      return "AMD";
    case kIntel:
      return "Intel";
    default:
      return function.vendor;
  }
}

// Base classes of the PCI Code and ID Assignment Specification. Most servers
// have a display controller for their console, which is of another vendor.
bool IsGpu(const PciFunction& function) {
  constexpr uint8_t kDisplay = 0x03;
  constexpr uint8_t kAccelerator = 0x12;
  const uint8_t base_class = function.class_id >> 8;
  if (base_class == kAccelerator) return true;
  return base_class == kDisplay &&
         (function.vendor_id == kNvidia || function.vendor_id == kAmd ||
          function.vendor_id == kIntel);
}

// PyTorch calls AMD's GPUs cuda:N too.
std::vector<Gpu> GpusOf(const HwlocTree& tree) {
  std::vector<Gpu> gpus;
  for (const PciFunction& function : tree.functions) {
    if (!IsGpu(function)) continue;
    const std::string model =
        function.model.empty()
            ? absl::StrFormat("%04x:%04x", function.vendor_id,
                              function.device_id)
            : function.model;
    const std::string vendor = VendorName(function);
    gpus.push_back(
        {.place = function.place,
         .vendor_id = function.vendor_id,
         .device_id = function.device_id,
         .name = vendor.empty() ? model : absl::StrCat(vendor, " ", model)});
  }
  std::sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) {
    return a.place.pci < b.place.pci;
  });
  const bool nvidia = std::any_of(gpus.begin(), gpus.end(), [](const Gpu& gpu) {
    return gpu.vendor_id == kNvidia;
  });
  constexpr int kMaxIndex = 255;  // more than any machine has
  int next = 0;
  for (Gpu& gpu : gpus) {
    if (gpu.vendor_id == (nvidia ? kNvidia : kAmd) && next <= kMaxIndex) {
      gpu.index = next++;
    }
  }
  return gpus;
}

// What hwloc has read from sysfs: "Port1State", "Port1LID", "Port1GID0".
// It leaves out the types of the GIDs, without which they are of no use.
std::vector<NicPort> PortsOf(const OsDevice& device) {
  std::vector<NicPort> ports;
  for (const auto& [name, value] : device.infos) {
    absl::string_view digits = name;
    NicPort port;
    if (!absl::ConsumePrefix(&digits, "Port") ||
        !absl::ConsumeSuffix(&digits, "State") ||
        !absl::SimpleAtoi(digits, &port.number)) {
      continue;
    }
    if (int state; absl::SimpleAtoi(value.substr(0, 1), &state) && state >= 1 &&
                   state <= static_cast<int>(PortState::kActiveDefer)) {
      port.state = static_cast<PortState>(state);
    }
    const auto lid = device.infos.find(absl::StrCat("Port", digits, "LID"));
    if (uint32_t number; lid != device.infos.end() &&
                         absl::SimpleHexAtoi(lid->second, &number) &&
                         number > 0 && number <= UINT16_MAX) {
      port.lid = static_cast<uint16_t>(number);
      port.link_layer = LinkLayer::kInfiniBand;
    }
    ports.push_back(std::move(port));
  }
  if (ports.empty()) ports.push_back(NicPort{});
  std::sort(ports.begin(), ports.end(), [](const NicPort& a, const NicPort& b) {
    return a.number < b.number;
  });
  return ports;
}

bool IsVirtualFunction(const HwlocTree& tree, const DevicePlace& place) {
  return std::any_of(tree.functions.begin(), tree.functions.end(),
                     [&](const PciFunction& function) {
                       return function.place.pci == place.pci &&
                              absl::StrContains(function.model,
                                                "Virtual Function");
                     });
}

Nic NicOf(const HwlocTree& tree, const OsDevice& device) {
  return {.name = device.name,
          .place = device.place,
          .virtual_function = IsVirtualFunction(tree, device.place),
          .bond = absl::StrContains(device.name, "bond"),
          .ports = PortsOf(device)};
}

NetDevice NetDeviceOf(const HwlocTree& tree, const OsDevice& device) {
  NetDevice result;
  result.name = device.name;
  result.place = device.place;
  if (!device.place.pci.has_value()) {
    result.kind = NetDeviceKind::kVirtual;
  } else if (IsVirtualFunction(tree, device.place)) {
    result.kind = NetDeviceKind::kVirtualFunction;
  }
  const auto port = device.infos.find("Port");
  if (int number; port != device.infos.end() &&
                  absl::SimpleAtoi(port->second, &number) && number > 0) {
    result.port = number;
  }
  return result;
}

void AddFromTree(const HwlocTree& tree, Machine& machine) {
  std::set<std::string> names;
  for (const OsDevice& device : tree.os_devices) {
    if (!names.insert(device.name).second) {
      machine.warnings.push_back(
          absl::StrCat("the topology XML has ", device.name,
                       " more than once: the first one is taken"));
    } else if (device.kind == OsDevice::Kind::kRdma) {
      machine.nics.push_back(NicOf(tree, device));
    } else {
      machine.net_devices.push_back(NetDeviceOf(tree, device));
    }
  }
}

// hwloc knows the tree above a device, and sysfs the device itself.
void Place(const HwlocTree& tree, DevicePlace& place) {
  if (!place.pci.has_value()) return;
  for (const PciFunction& function : tree.functions) {
    if (function.place.pci != place.pci) continue;
    place.bridge = function.place.bridge;
    if (place.nodes.empty()) place.nodes = function.place.nodes;
    return;
  }
}

void AddFromSysfs(const HwlocTree& tree, const Sysfs& sysfs, Machine& machine) {
  RdmaDevices rdma = ReadRdmaDevices(sysfs);
  NetDevices net = ReadNetDevices(sysfs);
  machine.nics = std::move(rdma.nics);
  machine.net_devices = std::move(net.devices);
  for (std::vector<std::string>* warnings : {&rdma.warnings, &net.warnings}) {
    std::move(warnings->begin(), warnings->end(),
              std::back_inserter(machine.warnings));
  }
  for (Nic& nic : machine.nics) Place(tree, nic.place);
  for (NetDevice& device : machine.net_devices) Place(tree, device.place);
  for (const OsDevice& device : tree.os_devices) {
    if (device.kind == OsDevice::Kind::kRdma &&
        std::none_of(machine.nics.begin(), machine.nics.end(),
                     [&](const Nic& nic) { return nic.name == device.name; })) {
      machine.warnings.push_back(absl::StrCat(
          device.name, " is in the topology of hwloc, but no longer in ",
          sysfs.root(), "/class/infiniband: it is left out"));
    }
  }
}

const NetDevice* FindNetDevice(const Machine& machine,
                               const std::string& name) {
  for (const NetDevice& device : machine.net_devices) {
    if (device.name == name) return &device;
  }
  return nullptr;
}

// The netdev of a port of which no GID tells it.
std::string NetDeviceOfPort(const Machine& machine, const Nic& nic,
                            const NicPort& port) {
  if (!nic.place.pci.has_value()) return "";
  for (const NetDevice& device : machine.net_devices) {
    if (device.place.pci != nic.place.pci || device.port != port.number) {
      continue;
    }
    return nic.bond && !device.master.empty() ? device.master : device.name;
  }
  return "";
}

void JoinNicsWithNetDevices(Machine& machine) {
  for (Nic& nic : machine.nics) {
    for (NicPort& port : nic.ports) {
      if (port.netdev.empty()) {
        port.netdev = NetDeviceOfPort(machine, nic, port);
      }
      const NetDevice* device = FindNetDevice(machine, port.netdev);
      if (device == nullptr) continue;
      nic.bond = nic.bond || device->kind == NetDeviceKind::kBond;
      // Soft-RoCE is where the netdev is that it uses.
      if (!nic.place.pci.has_value()) {
        nic.place.bridge = device->place.bridge;
        nic.place.nodes = device->place.nodes;
      }
    }
  }
}

template <typename Device>
void SortByName(std::vector<Device>& devices) {
  std::sort(devices.begin(), devices.end(),
            [](const Device& a, const Device& b) {
              return DeviceNameLess(a.name, b.name);
            });
}

// Of the nodes next to a device those that have CPUs of their own, if there are
// any: what is next to a socket with HBM, CXL or GPU memory is not between two
// nodes. hwloc gives such memory the CPUs of the node beside it.
std::vector<int> NodesWithCpus(const Machine& machine,
                               const std::vector<int>& near) {
  std::vector<const NumaNode*> found;
  for (const NumaNode& node : machine.nodes) {
    if (!std::binary_search(near.begin(), near.end(), node.index) ||
        node.cpus.empty() || node.gpu.has_value()) {
      continue;
    }
    const bool known = std::any_of(
        found.begin(), found.end(),
        [&](const NumaNode* other) { return other->cpus == node.cpus; });
    if (!known) found.push_back(&node);
  }
  if (found.empty()) return near;
  std::vector<int> indexes;
  for (const NumaNode* node : found) indexes.push_back(node->index);
  return indexes;
}

void RefineNodes(Machine& machine) {
  const auto refine = [&](std::vector<int>& nodes) {
    // On a machine of one node all is next to it, whatever the firmware says.
    nodes = machine.nodes.size() == 1
                ? std::vector<int>{machine.nodes.front().index}
                : NodesWithCpus(machine, nodes);
  };
  for (PciBridge& bridge : machine.bridges) refine(bridge.nodes);
  for (Gpu& gpu : machine.gpus) refine(gpu.place.nodes);
  for (Nic& nic : machine.nics) refine(nic.place.nodes);
  for (NetDevice& device : machine.net_devices) {
    if (device.place.pci.has_value()) refine(device.place.nodes);
  }
}

}  // namespace

absl::StatusOr<Machine> DiscoverMachine(absl::string_view hwloc_xml,
                                        const std::string& sysfs_root) {
  TE_ASSIGN_OR_RETURN(HwlocTree tree, ParseHwlocTree(hwloc_xml));
  Machine machine = {.nodes = tree.nodes,
                     .numa_latencies = tree.numa_latencies,
                     .bridges = tree.bridges,
                     .gpus = GpusOf(tree),
                     .warnings = tree.warnings};
  if (sysfs_root.empty()) {
    AddFromTree(tree, machine);
  } else {
    AddFromSysfs(tree, Sysfs(sysfs_root), machine);
  }
  SortByName(machine.nics);
  SortByName(machine.net_devices);
  JoinNicsWithNetDevices(machine);
  RefineNodes(machine);
  return machine;
}

absl::StatusOr<Machine> DiscoverMachine() {
  TE_ASSIGN_OR_RETURN(const std::string xml, HwlocXmlOfThisMachine());
  return DiscoverMachine(xml, "/sys");
}

}  // namespace te
