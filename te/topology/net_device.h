#ifndef TE_TOPOLOGY_NET_DEVICE_H_
#define TE_TOPOLOGY_NET_DEVICE_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "te/topology/device_place.h"

namespace te {

enum class NetDeviceKind : uint8_t {
  kPhysical,
  kVirtualFunction,
  kBond,
  kVlan,
  kBridge,
  // The switch's end of a virtual function, or of a sub-function.
  kRepresentor,
  kLoopback,
  // Made by software: tunnels, links of containers.
  kVirtual,
};

// "physical", "virtual_function", "bond", "vlan", "bridge", "representor",
// "loopback", "virtual".
absl::string_view NetDeviceKindName(NetDeviceKind kind);

// A network interface as sysfs and hwloc show it. Its addresses are
// NetworkInterface's. A value.
struct NetDevice {
  std::string name;
  NetDeviceKind kind = NetDeviceKind::kPhysical;
  DevicePlace place;
  // The kernel's word: "up", "down", "lowerlayerdown"; "unknown" where the
  // driver does not say, which counts as up.
  std::string operstate = "unknown";
  // 0 if unknown.
  int64_t speed_mbps = 0;
  int mtu = 0;
  // The port of the card, from 1.
  int port = 1;
  // The bond or bridge that it is a part of; empty without one.
  std::string master;
  // Those that it is made upon: the members of a bond, a VLAN's netdev.
  std::vector<std::string> lowers;

  friend bool operator==(const NetDevice&, const NetDevice&) = default;
};

}  // namespace te

#endif  // TE_TOPOLOGY_NET_DEVICE_H_
