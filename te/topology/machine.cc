#include "te/topology/machine.h"

#include <algorithm>

#include "absl/strings/string_view.h"

namespace te {

const NetDevice* FindNetDevice(const Machine& machine, absl::string_view name) {
  const auto found = std::find_if(
      machine.net_devices.begin(), machine.net_devices.end(),
      [&](const NetDevice& device) { return device.name == name; });
  return found == machine.net_devices.end() ? nullptr : &*found;
}

const NumaNode* FindNode(const Machine& machine, int index) {
  const auto found = std::lower_bound(
      machine.nodes.begin(), machine.nodes.end(), index,
      [](const NumaNode& node, int wanted) { return node.index < wanted; });
  if (found == machine.nodes.end() || found->index != index) return nullptr;
  return &*found;
}

}  // namespace te
