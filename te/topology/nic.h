#ifndef TE_TOPOLOGY_NIC_H_
#define TE_TOPOLOGY_NIC_H_

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "te/topology/device_place.h"
#include "te/topology/gid.h"

namespace te {

// In the order of the kernel's numbers (enum ib_port_state of
// include/rdma/ib_verbs.h), of which 0 is NOP.
enum class PortState : uint8_t {
  kUnknown,
  kDown,
  kInit,
  kArmed,
  kActive,
  kActiveDefer,
};

enum class LinkLayer : uint8_t { kUnknown, kInfiniBand, kEthernet };

// What speaks through a device (enum rdma_node_type of the same header).
enum class NicKind : uint8_t {
  kUnknown,
  // A channel adapter: InfiniBand and RoCE.
  kChannelAdapter,
  kIwarp,
  // EFA, usNIC: what has queue pairs of its own kinds.
  kOther,
};

// How packets that use a GID look. kInfiniBand: on InfiniBand's own link layer.
enum class GidType : uint8_t { kUnknown, kInfiniBand, kRoceV1, kRoceV2 };

// One used entry of a port's GID table.
struct GidEntry {
  int index = 0;
  Gid gid;
  GidType type = GidType::kUnknown;
  // The netdev that it belongs to, a VLAN's or a bond's own name where it is
  // one of theirs; empty where there is none in this network namespace.
  std::string netdev;

  friend bool operator==(const GidEntry&, const GidEntry&) = default;
};

// A port of a NIC. Numbers begin with 1.
struct NicPort {
  int number = 1;
  PortState state = PortState::kUnknown;
  LinkLayer link_layer = LinkLayer::kUnknown;
  // Gb/s, 10^9 bits a second; 0 if unknown. Of a port that is down it means
  // nothing.
  double rate_gbps = 0;
  // Of InfiniBand; 0 where there is none.
  uint16_t lid = 0;
  // The netdev of this port, or of the bond that it is a part of. Empty if
  // there is none in this network namespace.
  std::string netdev;
  // In the order of the table, without unused entries. Nothing if it is not
  // known, as from an lstopo XML.
  std::optional<std::vector<GidEntry>> gids;

  friend bool operator==(const NicPort&, const NicPort&) = default;
};

// An RDMA device: what ibv_devices lists. A value.
struct Nic {
  std::string name;  // "mlx5_0"
  DevicePlace place;
  NicKind kind = NicKind::kUnknown;
  std::string driver;  // "mlx5_core"; empty if unknown
  // A function that a hypervisor or a container was given (SR-IOV).
  bool virtual_function = false;
  // One device over the ports of several, as mlx5_bond_0 is.
  bool bond = false;
  std::vector<NicPort> ports;

  friend bool operator==(const Nic&, const Nic&) = default;
};

// The port through which a NIC is used: the first that can be used, else the
// first active one, else the first; null if it has none.
const NicPort* MainPort(const Nic& nic);

// Why nothing can be sent through `nic` now: "port 1 is DOWN". Empty if it can.
// What is not known counts as fine.
std::string WhyUnusable(const Nic& nic);

// As the kernel spells them: "ACTIVE", "InfiniBand", "RoCE v2"; "unknown".
absl::string_view PortStateName(PortState state);
absl::string_view LinkLayerName(LinkLayer layer);
absl::string_view GidTypeName(GidType type);

}  // namespace te

#endif  // TE_TOPOLOGY_NIC_H_
