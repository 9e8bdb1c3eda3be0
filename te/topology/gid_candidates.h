#ifndef TE_TOPOLOGY_GID_CANDIDATES_H_
#define TE_TOPOLOGY_GID_CANDIDATES_H_

#include <stdint.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "te/base/socket_address.h"
#include "te/topology/nic.h"

namespace te {

// How far a GID reaches; lower is better. kSubnet: it is InfiniBand's, where
// the prefix tells.
enum class GidScope : uint8_t {
  kSubnet,
  kIpv4,
  kGlobalIpv6,
  kUniqueLocalIpv6,
  kLinkLocal,
};

// An entry of a table by which its port may be reached. A value.
struct GidCandidate {
  GidEntry entry;
  GidScope scope = GidScope::kSubnet;
  // Not of the netdev in use.
  bool foreign = false;
  // The address from which the kernel would send to the other end.
  bool is_source = false;
};

struct GidCandidates {
  // In the order of the table, of indexes from 0 to 255, each once.
  std::vector<GidCandidate> candidates;
  // The others, with a reason for people: "is loopback".
  std::vector<std::pair<GidEntry, std::string>> skipped;
};

// The entries of `port` that are of use, whatever the other end has. A forced
// index, which need not be in the table, leaves no other. A pure function.
GidCandidates FindGidCandidates(const NicPort& port, LinkLayer layer,
                                const std::optional<SocketAddress>& source,
                                std::optional<int> forced_index);

// The link layer of `port`; if it is not known, what the port has tells.
LinkLayer LayerOf(const NicPort& port);

// For messages, in bounds and escaped, for they may have come from a peer: a
// name, and a table as "3 ::ffff:10.0.0.1 (RoCE v2, eth2)", "none", "not
// known".
std::string EscapedName(absl::string_view name);
std::string ListGids(const NicPort& port);

}  // namespace te

#endif  // TE_TOPOLOGY_GID_CANDIDATES_H_
