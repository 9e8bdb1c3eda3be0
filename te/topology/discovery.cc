#include "te/topology/discovery.h"

#include <stdint.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
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
#include "te/topology/machine_links.h"
#include "te/topology/net_sysfs.h"
#include "te/topology/pci_address.h"
#include "te/topology/rdma_sysfs.h"
#include "te/topology/sysfs.h"

namespace te {
namespace {

// PCI vendors (pci-ids.ucw.cz).
constexpr uint16_t kNvidia = 0x10de;
constexpr uint16_t kAmd = 0x1002;
constexpr uint16_t kIntel = 0x8086;

constexpr int kMaxGpuIndex = 255;  // more than any machine has

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

// A library's number and name of a GPU, which only an XML from elsewhere has.
void TakeFromLibraries(const HwlocTree& tree, Gpu& gpu) {
  for (const OsDevice& device : tree.os_devices) {
    if (device.kind != OsDevice::Kind::kGpu ||
        device.place.pci != gpu.place.pci) {
      continue;
    }
    absl::string_view number = device.name;
    if (uint32_t index; absl::ConsumePrefix(&number, "cuda") &&
                        absl::SimpleAtoi(number, &index) &&
                        index <= kMaxGpuIndex) {
      gpu.index = static_cast<int>(index);
    }
    const auto model = device.infos.find("GPUModel");
    if (model != device.infos.end()) gpu.name = model->second;
  }
}

// Where CUDA has not numbered them. PyTorch calls AMD's GPUs cuda:N too.
void NumberGpus(std::vector<Gpu>& gpus) {
  std::set<int> taken;
  bool nvidia = false;
  for (const Gpu& gpu : gpus) {
    taken.insert(gpu.index);
    nvidia = nvidia || gpu.vendor_id == kNvidia;
  }
  int next = 0;
  for (Gpu& gpu : gpus) {
    if (gpu.index >= 0 || gpu.vendor_id != (nvidia ? kNvidia : kAmd)) continue;
    while (taken.contains(next)) ++next;
    if (next > kMaxGpuIndex) return;
    gpu.index = next++;
  }
}

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
    TakeFromLibraries(tree, gpus.back());
  }
  std::sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) {
    return a.place.pci < b.place.pci;
  });
  NumberGpus(gpus);
  return gpus;
}

constexpr int kMaxPort = 255;

// What hwloc has read from sysfs: "Port1State", "Port1LID", "Port1GID0".
// It leaves out the types of the GIDs, without which they are of no use.
std::vector<NicPort> PortsOf(const OsDevice& device,
                             const PciFunction* function) {
  std::vector<NicPort> ports;
  for (const auto& [name, value] : device.infos) {
    absl::string_view digits = name;
    NicPort port;
    if (!absl::ConsumePrefix(&digits, "Port") ||
        !absl::ConsumeSuffix(&digits, "State") ||
        !absl::SimpleAtoi(digits, &port.number) || port.number < 1 ||
        port.number > kMaxPort) {
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
      // Some drivers of Ethernet cards say 1.
      constexpr uint16_t kEthernet = 0x0200;
      port.link_layer = function != nullptr && function->class_id == kEthernet
                            ? LinkLayer::kEthernet
                            : LinkLayer::kInfiniBand;
    }
    ports.push_back(std::move(port));
  }
  if (ports.empty()) ports.push_back(NicPort{});
  std::sort(ports.begin(), ports.end(), [](const NicPort& a, const NicPort& b) {
    return a.number < b.number;
  });
  return ports;
}

using FunctionsByAddress = std::map<PciAddress, const PciFunction*>;

FunctionsByAddress ByAddress(const HwlocTree& tree) {
  FunctionsByAddress functions;
  for (const PciFunction& function : tree.functions) {
    functions.emplace(*function.place.pci, &function);
  }
  return functions;
}

const PciFunction* FunctionOf(const FunctionsByAddress& functions,
                              const DevicePlace& place) {
  if (!place.pci.has_value()) return nullptr;
  const auto found = functions.find(*place.pci);
  return found == functions.end() ? nullptr : found->second;
}

bool IsVirtualFunction(const PciFunction* function) {
  return function != nullptr &&
         absl::StrContains(function->model, "Virtual Function");
}

Nic NicOf(const OsDevice& device, const PciFunction* function) {
  return {.name = device.name,
          .place = device.place,
          .virtual_function = IsVirtualFunction(function),
          .bond = absl::StrContains(device.name, "bond"),
          .ports = PortsOf(device, function)};
}

NetDevice NetDeviceOf(const OsDevice& device, const PciFunction* function) {
  NetDevice result;
  result.name = device.name;
  result.place = device.place;
  if (!device.place.pci.has_value()) {
    result.kind = NetDeviceKind::kVirtual;
  } else if (IsVirtualFunction(function)) {
    result.kind = NetDeviceKind::kVirtualFunction;
  }
  const auto port = device.infos.find("Port");
  if (int number; port != device.infos.end() &&
                  absl::SimpleAtoi(port->second, &number) && number > 0 &&
                  number <= kMaxPort) {
    result.port = number;
  }
  return result;
}

void AddFromTree(const HwlocTree& tree, Machine& machine) {
  const FunctionsByAddress functions = ByAddress(tree);
  std::set<std::string> names;
  for (const OsDevice& device : tree.os_devices) {
    if (device.kind == OsDevice::Kind::kGpu) continue;
    const PciFunction* function = FunctionOf(functions, device.place);
    if (!names.insert(device.name).second) {
      machine.warnings.push_back(
          absl::StrCat("the topology XML has ", device.name,
                       " more than once: the first one is taken"));
    } else if (device.kind == OsDevice::Kind::kRdma) {
      machine.nics.push_back(NicOf(device, function));
    } else {
      machine.net_devices.push_back(NetDeviceOf(device, function));
    }
  }
}

// hwloc knows the tree above a device, and sysfs the device itself.
void Place(const FunctionsByAddress& functions, DevicePlace& place) {
  const PciFunction* function = FunctionOf(functions, place);
  if (function == nullptr) return;
  place.bridge = function->place.bridge;
  if (place.nodes.empty()) place.nodes = function->place.nodes;
}

// For a copy of a sysfs that has lost the links to devices.
std::optional<PciAddress> PciByName(const HwlocTree& tree,
                                    const std::string& name) {
  for (const OsDevice& device : tree.os_devices) {
    if (device.name == name) return device.place.pci;
  }
  return std::nullopt;
}

// hwloc places all of a root complex at once, and sysfs each device.
void PlaceGpus(const Sysfs& sysfs, Machine& machine) {
  for (Gpu& gpu : machine.gpus) {
    const DevicePlace place = ReadPlace(
        sysfs, absl::StrCat("bus/pci/devices/", gpu.place.pci->ToString()),
        machine.warnings);
    if (!place.nodes.empty()) gpu.place.nodes = place.nodes;
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
  const FunctionsByAddress functions = ByAddress(tree);
  for (Nic& nic : machine.nics) {
    if (!nic.place.pci.has_value()) nic.place.pci = PciByName(tree, nic.name);
    Place(functions, nic.place);
  }
  for (NetDevice& device : machine.net_devices) {
    if (device.kind == NetDeviceKind::kVirtual) {
      device.place.pci = PciByName(tree, device.name);
      if (device.place.pci.has_value()) device.kind = NetDeviceKind::kPhysical;
    }
    Place(functions, device.place);
  }
  PlaceGpus(sysfs, machine);
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

template <typename Device>
void SortByName(std::vector<Device>& devices) {
  std::sort(devices.begin(), devices.end(),
            [](const Device& a, const Device& b) {
              return DeviceNameLess(a.name, b.name);
            });
}

// A host of virtual machines has some hundreds.
constexpr size_t kMaxNics = 1024;

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
  } else if (const Sysfs sysfs(sysfs_root); sysfs.Exists("class")) {
    AddFromSysfs(tree, sysfs, machine);
  } else {
    return absl::NotFoundError(absl::StrCat(
        sysfs_root, " is no sysfs: it has no folder class; is it mounted?"));
  }
  SortByName(machine.nics);
  SortByName(machine.net_devices);
  if (machine.nics.size() > kMaxNics) {
    machine.warnings.push_back(absl::StrCat("of ", machine.nics.size(),
                                            " RDMA devices only ", kMaxNics,
                                            " are looked at"));
    machine.nics.resize(kMaxNics);
  }
  LinkNetDevices(machine);
  RefineNodes(machine);
  return machine;
}

absl::StatusOr<Machine> DiscoverMachine() {
  TE_ASSIGN_OR_RETURN(const std::string xml, HwlocXmlOfThisMachine());
  return DiscoverMachine(xml, "/sys");
}

}  // namespace te
