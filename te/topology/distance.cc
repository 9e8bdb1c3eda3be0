#include "te/topology/distance.h"

#include <stdint.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace te {
namespace {

// The lowest bridge that both are below; -1 if there is none.
int CommonBridge(const Machine& machine, int a, int b) {
  // A bridge has a greater index than its parent.
  while (a != b) {
    int& lower = a > b ? a : b;
    if (lower < 0) return -1;
    lower = machine.bridges[static_cast<size_t>(lower)].parent;
  }
  return a;
}

// The one that all nodes of both belong to, or -1.
int CommonPackage(const Machine& machine, const DevicePlace& a,
                  const DevicePlace& b) {
  int common = -1;
  for (const std::vector<int>* nodes : {&a.nodes, &b.nodes}) {
    if (nodes->empty()) return -1;
    for (const int index : *nodes) {
      const NumaNode* node = FindNode(machine, index);
      if (node == nullptr || node->package == -1 ||
          (common != -1 && node->package != common)) {
        return -1;
      }
      common = node->package;
    }
  }
  return common;
}

int Latency(const Machine& machine, const DevicePlace& a,
            const DevicePlace& b) {
  int least = Distance::kUnknownLatency;
  for (const int from : a.nodes) {
    for (const int to : b.nodes) {
      const auto found = machine.numa_latencies.find({from, to});
      if (found != machine.numa_latencies.end()) {
        least = std::min(least, found->second);
      }
    }
  }
  return least;
}

Proximity ProximityOf(const Machine& machine, const DevicePlace& a,
                      const DevicePlace& b) {
  const int bridge = CommonBridge(machine, a.bridge, b.bridge);
  if (bridge >= 0) {
    return machine.bridges[static_cast<size_t>(bridge)].kind ==
                   PciBridge::Kind::kHost
               ? Proximity::kSameRootComplex
               : Proximity::kSameSwitch;
  }
  if (a.nodes.size() == 1 && a.nodes == b.nodes) {
    return Proximity::kSameNumaNode;
  }
  return CommonPackage(machine, a, b) == -1 ? Proximity::kOtherSocket
                                            : Proximity::kSameSocket;
}

bool HasMemory(const Machine& machine, const NumaNode& node) {
  return node.memory_bytes > 0 || machine.nodes.size() == 1 ||
         // lstopo has no sizes of machines that somebody made up.
         !node.cpus.empty();
}

}  // namespace

absl::string_view ProximityName(Proximity proximity) {
  switch (proximity) {
    case Proximity::kSameSwitch:
      return "same_switch";
    case Proximity::kSameRootComplex:
      return "same_root_complex";
    case Proximity::kSameNumaNode:
      return "same_numa_node";
    case Proximity::kSameSocket:
      return "same_socket";
    case Proximity::kOtherSocket:
      return "other_socket";
  }
  return "other_socket";
}

std::vector<MemoryLocation> LocationsOf(const Machine& machine) {
  std::vector<MemoryLocation> locations;
  for (const NumaNode& node : machine.nodes) {
    if (HasMemory(machine, node)) {
      locations.push_back(
          MemoryLocation::Cpu(static_cast<uint16_t>(node.index)));
    }
  }
  for (const Gpu& gpu : machine.gpus) {
    if (gpu.index < 0) continue;
    locations.push_back(MemoryLocation::Cuda(static_cast<uint16_t>(gpu.index)));
  }
  locations.emplace_back();
  return locations;
}

absl::StatusOr<DevicePlace> PlaceOf(const Machine& machine,
                                    MemoryLocation location) {
  if (location.kind() == MemoryLocation::Kind::kAny) return DevicePlace{};
  const NumaNode* node = location.kind() == MemoryLocation::Kind::kCpu
                             ? FindNode(machine, location.index())
                             : nullptr;
  for (const Gpu& gpu : machine.gpus) {
    if (node != nullptr ? node->gpu == gpu.place.pci && node->gpu.has_value()
                        : location.kind() == MemoryLocation::Kind::kCuda &&
                              gpu.index == location.index()) {
      return gpu.place;
    }
  }
  if (node != nullptr) {
    DevicePlace place;
    place.nodes = {node->index};
    return place;
  }
  return absl::NotFoundError(absl::StrCat(
      "the machine has no ", location.ToString(), "; it has ",
      absl::StrJoin(LocationsOf(machine), ", ",
                    [](std::string* out, const MemoryLocation& there) {
                      absl::StrAppend(out, there.ToString());
                    })));
}

Distance DistanceBetween(const Machine& machine, const DevicePlace& a,
                         const DevicePlace& b) {
  return {.proximity = ProximityOf(machine, a, b),
          .numa_latency = Latency(machine, a, b)};
}

std::string DescribeWay(const Machine& machine, const DevicePlace& memory,
                        const DevicePlace& device) {
  const Distance distance = DistanceBetween(machine, memory, device);
  const int bridge = CommonBridge(machine, memory.bridge, device.bridge);
  if (distance.proximity == Proximity::kSameSwitch) {
    const PciBridge& common = machine.bridges[static_cast<size_t>(bridge)];
    return absl::StrCat("below the same PCIe switch",
                        common.pci.has_value()
                            ? absl::StrCat(" at ", common.pci->ToString())
                            : "");
  }
  if (distance.proximity == Proximity::kSameRootComplex) {
    const std::string& buses =
        machine.bridges[static_cast<size_t>(bridge)].buses;
    return absl::StrCat("below the same root complex",
                        buses.empty() ? "" : absl::StrCat(", buses ", buses));
  }
  if (device.nodes.empty()) return "nobody knows to which NUMA node it is next";
  std::string text =
      absl::StrCat("next to NUMA node", device.nodes.size() == 1 ? " " : "s ",
                   absl::StrJoin(device.nodes, ", "));
  if (distance.proximity == Proximity::kSameSocket) {
    absl::StrAppend(&text, ", in the same socket");
  } else if (distance.proximity == Proximity::kOtherSocket) {
    absl::StrAppend(&text, device.nodes.size() == 1
                               ? ", in another socket"
                               : ", so to none in particular");
  }
  if (distance.numa_latency != Distance::kUnknownLatency &&
      distance.proximity != Proximity::kSameNumaNode) {
    absl::StrAppend(&text, " (NUMA latency ", distance.numa_latency, ")");
  }
  return text;
}

}  // namespace te
