#include "te/topology/gid_candidates.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "te/base/socket_address.h"
#include "te/topology/gid.h"
#include "te/topology/nic.h"

namespace te {
namespace {

// ibv_global_route::sgid_index has 8 bits (ibv_modify_qp(3)).
constexpr int kMaxIndex = 255;
constexpr size_t kMaxListed = 16;
constexpr size_t kMaxName = 64;

// The GID of an IP address on Ethernet.
Gid GidOf(const SocketAddress& address) {
  std::array<uint8_t, 16> bytes = {};
  if (address.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.data());
    std::copy_n(v6->sin6_addr.s6_addr, 16, bytes.begin());
    return Gid(bytes);
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.data());
  bytes[10] = bytes[11] = 0xff;
  std::copy_n(reinterpret_cast<const uint8_t*>(&v4->sin_addr), 4,
              bytes.begin() + 12);
  return Gid(bytes);
}

GidScope ScopeOf(const Gid& gid, LinkLayer layer) {
  if (layer == LinkLayer::kInfiniBand) return GidScope::kSubnet;
  if (gid.IsLinkLocal()) return GidScope::kLinkLocal;
  if (gid.IsIpv4Mapped()) return GidScope::kIpv4;
  return (gid.bytes()[0] & 0xfe) == 0xfc ? GidScope::kUniqueLocalIpv6
                                         : GidScope::kGlobalIpv6;
}

// Why nobody can be reached at `gid`, or nothing.
std::string WhyNoAddress(const Gid& gid) {
  const std::array<uint8_t, 16>& bytes = gid.bytes();
  if (gid.IsZero()) return "is empty";
  if (bytes[0] == 0xff) return "is multicast";
  if (gid.IsIpv4Mapped()) {
    if (bytes[12] == 0) return "is no address of a host";
    if (bytes[12] == IN_LOOPBACKNET) return "is loopback";
    if (bytes[12] >= 224) return "is multicast or reserved";  // RFC 1112
  }
  if (std::all_of(bytes.begin(), bytes.end() - 1,
                  [](uint8_t byte) { return byte == 0; }) &&
      bytes[15] == 1) {
    return "is loopback";
  }
  return "";
}

// Why `candidate` cannot be used whatever the other end has, or nothing.
std::string WhyUnfit(const GidCandidate& candidate, LinkLayer layer,
                     bool forced) {
  const GidEntry& entry = candidate.entry;
  if (entry.index < 0 || entry.index > kMaxIndex) {
    return absl::StrCat("has an index above ", kMaxIndex, ", or below 0");
  }
  const bool roce =
      entry.type == GidType::kRoceV1 || entry.type == GidType::kRoceV2;
  if (layer == LinkLayer::kInfiniBand ? roce
                                      : entry.type == GidType::kInfiniBand) {
    return absl::StrCat("is ", GidTypeName(entry.type), " on ",
                        LinkLayerName(layer));
  }
  std::string reason = WhyNoAddress(entry.gid);
  if (!reason.empty()) return reason;
  if (candidate.scope == GidScope::kLinkLocal && candidate.foreign && !forced) {
    return absl::StrCat("is link-local, and of ", EscapedName(entry.netdev),
                        ", not of the netdev in use");
  }
  return "";
}

// The index of the candidate that `entry` repeats, or -1.
int RepeatedIndex(const std::vector<GidCandidate>& candidates,
                  const GidEntry& entry) {
  for (const GidCandidate& other : candidates) {
    if (other.entry.gid == entry.gid && other.entry.type == entry.type &&
        other.entry.netdev == entry.netdev) {
      return other.entry.index;
    }
  }
  return -1;
}

}  // namespace

GidCandidates FindGidCandidates(const NicPort& port, LinkLayer layer,
                                const std::optional<SocketAddress>& source,
                                std::optional<int> forced_index) {
  GidCandidates found;
  if (!port.gids.has_value()) return found;
  std::bitset<kMaxIndex + 1> seen;
  for (const GidEntry& entry : *port.gids) {
    GidCandidate candidate = {
        .entry = entry,
        .scope = ScopeOf(entry.gid, layer),
        .foreign = !entry.netdev.empty() && !port.netdev.empty() &&
                   entry.netdev != port.netdev,
        .is_source = source.has_value() && GidOf(*source) == entry.gid};
    std::string reason =
        forced_index.value_or(entry.index) == entry.index
            ? WhyUnfit(candidate, layer, forced_index.has_value())
            : absl::StrCat("is not index ", *forced_index, ", which is forced");
    if (reason.empty() && seen.test(entry.index)) {
      reason = "has the index of another";
    }
    if (reason.empty()) {
      const int repeated = RepeatedIndex(found.candidates, entry);
      if (repeated >= 0) reason = absl::StrCat("repeats index ", repeated);
    }
    if (!reason.empty()) {
      found.skipped.emplace_back(entry, std::move(reason));
      continue;
    }
    seen.set(entry.index);
    found.candidates.push_back(std::move(candidate));
  }
  return found;
}

// What a port of an unknown link layer has tells which it is.
LinkLayer LayerOf(const NicPort& port) {
  if (port.link_layer != LinkLayer::kUnknown) return port.link_layer;
  if (port.lid != 0) return LinkLayer::kInfiniBand;
  if (!port.gids.has_value() || port.gids->empty()) return LinkLayer::kUnknown;
  return port.gids->front().type == GidType::kInfiniBand
             ? LinkLayer::kInfiniBand
             : LinkLayer::kEthernet;
}

std::string EscapedName(absl::string_view name) {
  return absl::CHexEscape(name.substr(0, kMaxName));
}

std::string ListGids(const NicPort& port) {
  if (!port.gids.has_value()) return "not known";
  if (port.gids->empty()) return "none";
  std::vector<std::string> texts;
  for (const GidEntry& entry : *port.gids) {
    if (texts.size() == kMaxListed) {
      texts.push_back(absl::StrCat(port.gids->size() - kMaxListed, " more"));
      break;
    }
    texts.push_back(absl::StrCat(
        entry.index, " ", entry.gid.ToString(), " (", GidTypeName(entry.type),
        entry.netdev.empty() ? "" : ", ", EscapedName(entry.netdev), ")"));
  }
  return absl::StrJoin(texts, ", ");
}

}  // namespace te
