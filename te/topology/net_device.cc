#include "te/topology/net_device.h"

#include "absl/strings/string_view.h"

namespace te {

absl::string_view NetDeviceKindName(NetDeviceKind kind) {
  switch (kind) {
    case NetDeviceKind::kPhysical:
      return "physical";
    case NetDeviceKind::kVirtualFunction:
      return "virtual_function";
    case NetDeviceKind::kBond:
      return "bond";
    case NetDeviceKind::kVlan:
      return "vlan";
    case NetDeviceKind::kBridge:
      return "bridge";
    case NetDeviceKind::kRepresentor:
      return "representor";
    case NetDeviceKind::kLoopback:
      return "loopback";
    case NetDeviceKind::kVirtual:
      return "virtual";
  }
  return "virtual";
}

}  // namespace te
