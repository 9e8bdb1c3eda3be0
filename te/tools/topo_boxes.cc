#include "te/tools/topo_boxes.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "te/program/number_ranges.h"
#include "te/program/size_text.h"
#include "te/topology/device_place.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"

namespace te::tools {
namespace {

constexpr int kLine = 16;    // the height of a line of text
constexpr int kLetter = 7;   // about its width at 12 pixels
constexpr int kBold = 8;     // of the first line
constexpr int kPadding = 8;  // within a box, and between boxes
constexpr int kRow = 1100;  // boxes side by side take no more, if they are many
constexpr int kNarrowest = 84;
constexpr size_t kText = 40;  // letters of a line

std::string Shortened(const std::string& text) {
  if (text.size() <= kText) return text;
  return absl::StrCat(text.substr(0, kText - 3), "...");
}

Box NicBox(const Machine& machine, size_t index) {
  const Nic& nic = machine.nics[index];
  Box box = {.kind = Box::Kind::kNic, .lines = {nic.name}, .nic = index};
  for (const NicPort& port : nic.ports) {
    std::string line(PortStateName(port.state));
    if (port.rate_gbps > 0) {
      absl::StrAppend(&line, " ", port.rate_gbps, " Gb/s");
    }
    if (!port.netdev.empty()) absl::StrAppend(&line, " ", port.netdev);
    box.lines.push_back(Shortened(line));
  }
  if (nic.virtual_function) box.lines.emplace_back("virtual function");
  if (nic.bond) box.lines.emplace_back("bond");
  if (nic.place.pci.has_value()) {
    box.lines.push_back(nic.place.pci->ToString());
  }
  return box;
}

Box GpuBox(const Gpu& gpu) {
  Box box = {.kind = Box::Kind::kGpu};
  if (gpu.index >= 0) {
    box.memory = MemoryLocation::Cuda(static_cast<uint16_t>(gpu.index));
    box.lines.push_back(box.memory->ToString());
  }
  box.lines.push_back(Shortened(gpu.name));
  if (gpu.place.pci.has_value()) {
    box.lines.push_back(gpu.place.pci->ToString());
  }
  return box;
}

Box NetDeviceBox(const NetDevice& device) {
  Box box = {.kind = Box::Kind::kNetDevice,
             .lines = {device.name, Shortened(device.operstate)}};
  if (device.place.pci.has_value()) {
    box.lines.push_back(device.place.pci->ToString());
  }
  return box;
}

// "0000:[5e-5e]": several functions of one device are below it.
bool HasOneBus(const PciBridge& bridge) {
  const std::vector<std::string> buses =
      absl::StrSplit(bridge.buses, absl::ByAnyChar("[-]"));
  return buses.size() >= 3 && buses[1] == buses[2];
}

// Puts each device into the box of its bridge, those into the boxes of their
// NUMA nodes, and so on.
class Builder {
 public:
  explicit Builder(const Machine& machine) : machine_(machine) {}

  Box Build();

 private:
  void AddDevices();
  void Add(const DevicePlace& place, Box box);
  Box BridgeBox(size_t bridge);
  // Where what is next to these nodes belongs: a node, a socket, the machine.
  std::vector<Box>& Near(const std::vector<int>& nodes);
  int PackageOf(const std::vector<int>& nodes) const;
  Box NodeBox(const NumaNode& node);

  const Machine& machine_;
  std::map<int, std::vector<Box>> below_bridge_;
  std::map<int, std::vector<Box>> in_node_;
  std::map<int, std::vector<Box>> in_package_;
  std::vector<Box> elsewhere_;
};

int Builder::PackageOf(const std::vector<int>& nodes) const {
  std::set<int> packages;
  for (const NumaNode& node : machine_.nodes) {
    if (std::binary_search(nodes.begin(), nodes.end(), node.index)) {
      packages.insert(node.package);
    }
  }
  return packages.size() == 1 ? *packages.begin() : -1;
}

std::vector<Box>& Builder::Near(const std::vector<int>& nodes) {
  if (nodes.size() == 1 && FindNode(machine_, nodes.front()) != nullptr) {
    return in_node_[nodes.front()];
  }
  const int package = PackageOf(nodes);
  return package < 0 ? elsewhere_ : in_package_[package];
}

void Builder::Add(const DevicePlace& place, Box box) {
  if (place.bridge >= 0) {
    below_bridge_[place.bridge].push_back(std::move(box));
  } else {
    Near(place.nodes).push_back(std::move(box));
  }
}

void Builder::AddDevices() {
  std::set<std::string> netdevs_of_nics;
  for (size_t i = 0; i < machine_.nics.size(); ++i) {
    Add(machine_.nics[i].place, NicBox(machine_, i));
    for (const NicPort& port : machine_.nics[i].ports) {
      netdevs_of_nics.insert(port.netdev);
    }
  }
  for (const Gpu& gpu : machine_.gpus) Add(gpu.place, GpuBox(gpu));
  // What software makes is nowhere, and that of a NIC is in its box.
  for (const NetDevice& device : machine_.net_devices) {
    if (device.place.pci.has_value() &&
        !netdevs_of_nics.contains(device.name)) {
      Add(device.place, NetDeviceBox(device));
    }
  }
}

Box Builder::BridgeBox(size_t bridge) {
  const PciBridge& from = machine_.bridges[bridge];
  std::vector<Box>& below = below_bridge_[static_cast<int>(bridge)];
  if (from.kind == PciBridge::Kind::kPci && below.size() == 1) {
    return std::move(below.front());
  }
  Box box = {.kind = Box::Kind::kBridge, .children = std::move(below)};
  if (from.kind == PciBridge::Kind::kHost) {
    box.lines.push_back(Shortened(absl::StrCat("root complex ", from.buses)));
  } else {
    box.lines.push_back(absl::StrCat(
        HasOneBus(from) ? "PCIe port" : "PCIe switch",
        from.pci.has_value() ? absl::StrCat(" ", from.pci->ToString()) : ""));
  }
  return box;
}

Box Builder::NodeBox(const NumaNode& node) {
  Box box = {.kind = Box::Kind::kNode,
             .lines = {absl::StrCat("NUMA node ", node.index, ": ",
                                    program::FormatSize(node.memory_bytes)),
                       Shortened(absl::StrCat(
                           "CPUs ", program::FormatRanges(node.cpus)))},
             .memory = MemoryLocation::Cpu(static_cast<uint16_t>(node.index)),
             .children = std::move(in_node_[node.index])};
  if (node.gpu.has_value()) {
    box.lines[1] = absl::StrCat("memory of the GPU ", node.gpu->ToString());
  }
  if (!node.allowed) box.lines.emplace_back("not for this process");
  return box;
}

Box Builder::Build() {
  AddDevices();
  // Children have greater indexes than their parents.
  for (size_t i = machine_.bridges.size(); i-- > 0;) {
    if (below_bridge_[static_cast<int>(i)].empty()) continue;
    const PciBridge& bridge = machine_.bridges[i];
    Box box = BridgeBox(i);
    std::vector<Box>& parent =
        bridge.parent >= 0 ? below_bridge_[bridge.parent] : Near(bridge.nodes);
    parent.insert(parent.begin(), std::move(box));
  }
  std::map<int, Box> packages;
  Box machine = {.lines = {"Machine"}};
  for (const NumaNode& node : machine_.nodes) {
    if (node.package < 0) {
      machine.children.push_back(NodeBox(node));
      continue;
    }
    Box& package = packages[node.package];
    package.lines = {absl::StrCat("Socket ", node.package)};
    package.children.push_back(NodeBox(node));
  }
  for (auto& [index, package] : packages) {
    for (Box& box : in_package_[index]) {
      package.children.push_back(std::move(box));
    }
    machine.children.push_back(std::move(package));
  }
  for (Box& box : elsewhere_) machine.children.push_back(std::move(box));
  return machine;
}

void Move(Box& box, int right, int down) {
  box.x += right;
  box.y += down;
  for (Box& child : box.children) Move(child, right, down);
}

}  // namespace

Box BoxesOf(const TopoReport& report) {
  return Builder(report.machine).Build();
}

void LayOut(Box& box, int x, int y) {
  int text_width = kNarrowest;
  for (const std::string& line : box.lines) {
    const int letter = &line == &box.lines.front() ? kBold : kLetter;
    text_width = std::max(text_width, static_cast<int>(line.size()) * letter);
  }
  box.width = text_width + 2 * kPadding;
  const int text_end = kPadding + static_cast<int>(box.lines.size()) * kLine;
  int left = kPadding;
  int top = text_end + kPadding;
  int bottom = text_end;
  for (Box& child : box.children) {
    LayOut(child, 0, 0);
    if (left > kPadding && left + child.width > kRow) {
      left = kPadding;
      top = bottom + kPadding;
    }
    Move(child, left, top);
    left += child.width + kPadding;
    bottom = std::max(bottom, top + child.height);
    box.width = std::max(box.width, left);
  }
  box.height = bottom + kPadding;
  Move(box, x, y);
}

}  // namespace te::tools
