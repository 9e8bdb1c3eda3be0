#include "te/topology/nic.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace te {
namespace {

std::string WhyUnusable(const NicPort& port) {
  if (port.state != PortState::kActive && port.state != PortState::kUnknown) {
    return absl::StrCat("port ", port.number, " is ",
                        PortStateName(port.state));
  }
  // A LID does as well, but only on InfiniBand: others may pretend to have one.
  const bool has_lid =
      port.link_layer == LinkLayer::kInfiniBand && port.lid != 0;
  if (port.gids.has_value() && port.gids->empty() && !has_lid) {
    return absl::StrCat("port ", port.number, " has no GID",
                        port.netdev.empty()
                            ? ""
                            : absl::StrCat("; has ", port.netdev,
                                           " an IP address, and is it up?"));
  }
  return "";
}

}  // namespace

const NicPort* MainPort(const Nic& nic) {
  for (const NicPort& port : nic.ports) {
    if (WhyUnusable(port).empty()) return &port;
  }
  for (const NicPort& port : nic.ports) {
    if (port.state == PortState::kActive) return &port;
  }
  return nic.ports.empty() ? nullptr : &nic.ports.front();
}

std::string WhyUnusable(const Nic& nic) {
  if (nic.kind == NicKind::kIwarp) return "it speaks iWARP and not RoCE";
  if (nic.kind == NicKind::kOther) {
    return "it speaks neither InfiniBand nor RoCE";
  }
  if (nic.ports.empty()) return "it has no ports";
  std::vector<std::string> reasons;
  for (const NicPort& port : nic.ports) {
    reasons.push_back(WhyUnusable(port));
    if (reasons.back().empty()) return "";
  }
  return absl::StrJoin(reasons, ", ");
}

absl::string_view PortStateName(PortState state) {
  switch (state) {
    case PortState::kUnknown:
      return "unknown";
    case PortState::kDown:
      return "DOWN";
    case PortState::kInit:
      return "INIT";
    case PortState::kArmed:
      return "ARMED";
    case PortState::kActive:
      return "ACTIVE";
    case PortState::kActiveDefer:
      return "ACTIVE_DEFER";
  }
  return "unknown";
}

absl::string_view LinkLayerName(LinkLayer layer) {
  switch (layer) {
    case LinkLayer::kUnknown:
      return "unknown";
    case LinkLayer::kInfiniBand:
      return "InfiniBand";
    case LinkLayer::kEthernet:
      return "Ethernet";
  }
  return "unknown";
}

absl::string_view GidTypeName(GidType type) {
  switch (type) {
    case GidType::kUnknown:
      return "unknown";
    case GidType::kInfiniBand:
      return "IB";
    case GidType::kRoceV1:
      return "RoCE v1";
    case GidType::kRoceV2:
      return "RoCE v2";
  }
  return "unknown";
}

}  // namespace te
