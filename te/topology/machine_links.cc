#include "te/topology/machine_links.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "te/topology/device_place.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/numa_node.h"

namespace te {
namespace {

bool SameDevice(const DevicePlace& a, const DevicePlace& b) {
  if (!a.device.empty() && !b.device.empty()) return a.device == b.device;
  return a.pci.has_value() && a.pci == b.pci;
}

// Whether that netdev is of the NIC, or made upon one that is.
bool IsOf(const Machine& machine, const Nic& nic, const std::string& netdev,
          int depth = 0) {
  constexpr int kMaxDepth = 4;  // a VLAN upon a bond upon a netdev
  const NetDevice* device = FindNetDevice(machine, netdev);
  if (device == nullptr || depth == kMaxDepth) return false;
  // Soft-RoCE has no device, and any netdev.
  if (!nic.place.pci.has_value() || SameDevice(nic.place, device->place)) {
    return true;
  }
  return std::any_of(device->lowers.begin(), device->lowers.end(),
                     [&](const std::string& lower) {
                       return IsOf(machine, nic, lower, depth + 1);
                     });
}

// The netdev of a port of which no GID tells it.
std::string NetDeviceOfPort(const Machine& machine, const Nic& nic,
                            const NicPort& port) {
  for (const NetDevice& device : machine.net_devices) {
    const bool real = device.kind == NetDeviceKind::kPhysical ||
                      device.kind == NetDeviceKind::kVirtualFunction;
    if (!real || device.port != port.number ||
        !SameDevice(nic.place, device.place)) {
      continue;
    }
    return nic.bond && !device.master.empty() ? device.master : device.name;
  }
  return "";
}

// Names of netdevs of another network namespace, which may be those of others
// in this one.
void ForgetForeignNetDevices(Machine& machine, Nic& nic) {
  std::string foreign;
  const auto check = [&](std::string& netdev) {
    if (netdev.empty() || IsOf(machine, nic, netdev)) return;
    foreign = std::exchange(netdev, "");
  };
  for (NicPort& port : nic.ports) {
    check(port.netdev);
    if (!port.gids.has_value()) continue;
    for (GidEntry& entry : *port.gids) check(entry.netdev);
  }
  if (foreign.empty()) return;
  machine.warnings.push_back(
      absl::StrCat(nic.name, " has GIDs of the netdev ", foreign,
                   ", which is not in this network namespace"));
}

// A device over all members of a bond, and not one of several of which each is
// a member.
void MarkBonds(Machine& machine) {
  std::map<std::string, int> users;
  for (const Nic& nic : machine.nics) {
    if (!nic.ports.empty()) ++users[nic.ports.front().netdev];
  }
  for (Nic& nic : machine.nics) {
    if (nic.ports.empty()) continue;
    const std::string& netdev = nic.ports.front().netdev;
    const NetDevice* device = FindNetDevice(machine, netdev);
    nic.bond = nic.bond || (device != nullptr && users[netdev] == 1 &&
                            device->kind == NetDeviceKind::kBond);
  }
}

// Whether memory at `a` is that of CPUs of which `b` has only some.
bool IsBeside(const NumaNode& a, const NumaNode& b) {
  if (a.cpus.empty() || a.gpu.has_value()) {
    return !b.cpus.empty() && !b.gpu.has_value();
  }
  return !b.cpus.empty() &&
         std::includes(a.cpus.begin(), a.cpus.end(), b.cpus.begin(),
                       b.cpus.end()) &&
         (a.cpus.size() > b.cpus.size() || a.index > b.index);
}

// Of the nodes next to a device those with CPUs of their own, if there are any:
// what is next to a socket with HBM, CXL or GPU memory is not between two
// nodes. hwloc gives such memory the CPUs that it is near to.
std::vector<int> Refined(const Machine& machine, const std::vector<int>& near) {
  // Next to so many is next to none in particular.
  constexpr size_t kMany = 64;
  std::vector<const NumaNode*> nodes;
  for (const NumaNode& node : machine.nodes) {
    if (std::binary_search(near.begin(), near.end(), node.index)) {
      nodes.push_back(&node);
    }
  }
  if (nodes.size() > kMany) return {};
  std::vector<int> refined;
  for (const NumaNode* node : nodes) {
    const bool beside =
        std::any_of(nodes.begin(), nodes.end(), [&](const NumaNode* other) {
          return other != node && IsBeside(*node, *other);
        });
    if (!beside) refined.push_back(node->index);
  }
  return refined;
}

}  // namespace

void LinkNetDevices(Machine& machine) {
  for (Nic& nic : machine.nics) {
    ForgetForeignNetDevices(machine, nic);
    for (NicPort& port : nic.ports) {
      if (port.netdev.empty()) {
        port.netdev = NetDeviceOfPort(machine, nic, port);
      }
      // Soft-RoCE is where the netdev is that it uses.
      const NetDevice* device = FindNetDevice(machine, port.netdev);
      if (!nic.place.pci.has_value() && device != nullptr) {
        nic.place.bridge = device->place.bridge;
        nic.place.nodes = device->place.nodes;
      }
    }
  }
  MarkBonds(machine);
}

void RefineNodes(Machine& machine) {
  std::map<std::vector<int>, std::vector<int>> known;
  const auto refine = [&](std::vector<int>& nodes) {
    // On a machine of one node all is next to it, and the firmware need not say
    // so.
    if (machine.nodes.size() == 1 && nodes.empty()) {
      nodes = {machine.nodes.front().index};
      return;
    }
    const auto [entry, added] = known.try_emplace(nodes);
    if (added) entry->second = Refined(machine, nodes);
    nodes = entry->second;
  };
  for (PciBridge& bridge : machine.bridges) refine(bridge.nodes);
  for (Gpu& gpu : machine.gpus) refine(gpu.place.nodes);
  for (Nic& nic : machine.nics) {
    const bool placed = !nic.place.nodes.empty();
    refine(nic.place.nodes);
    if (placed && nic.place.nodes.empty()) {
      machine.warnings.push_back(absl::StrCat(
          nic.name, " is said to be next to NUMA nodes that do not exist"));
    }
  }
  for (NetDevice& device : machine.net_devices) {
    if (device.place.pci.has_value()) refine(device.place.nodes);
  }
}

}  // namespace te
