#ifndef TE_TOPOLOGY_GID_CHOICE_H_
#define TE_TOPOLOGY_GID_CHOICE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/socket_address.h"
#include "te/topology/nic.h"

namespace te {

// One end of a connection between two ports, as far as the choice of GIDs needs
// to know it. A value.
struct GidEnd {
  std::string device;  // "mlx5_0"
  // Of the peer, as it told us. Its `gids` have no value as long as it has not.
  NicPort port;
  // The address from which the kernel of this end would send to the other end
  // (RouteSource of route_source.h), if known.
  std::optional<SocketAddress> source;
  // The user's word: this entry of the table and no other.
  std::optional<int> forced_index;
  // Whose port it is, for errors that are read at both ends: "the target". By
  // default nobody's if it is the local one, and "the peer" if not.
  std::string owner;
};

struct GidChoiceOptions {
  // Whether routers connect InfiniBand subnets, which few sites have
  // (InfiniBand Architecture Specification, volume 1, 19).
  bool global_routing = false;
};

// A local GID and the peer's that it would talk to.
struct GidPair {
  GidEntry local;
  // Nothing as long as the peer has told no GIDs.
  std::optional<GidEntry> remote;
  // Whether both look like one network: with the same first 24 bits of IPv4 or
  // 64 bits of IPv6, as netdevs mostly have it, or the same subnet prefix.
  bool one_network = false;
  // For people: "is RoCE v2, IPv4, the source of the route to the peer"
  std::string reason;
};

struct SkippedGid {
  GidEntry entry;
  // For people: "is RoCE v1, which the peer has not"
  std::string reason;
};

struct GidChoice {
  // InfiniBand within a subnet: the ports' LIDs are the address, packets need
  // no global route header, and `pairs` may be empty. Otherwise GIDs are.
  bool by_lid = false;
  // Best first; a local entry stands in one at most. Not empty unless by_lid.
  std::vector<GidPair> pairs;
  // Local ones that cannot talk to the peer, or had better not.
  std::vector<SkippedGid> skipped;
};

// Chooses between which GIDs `local` and `remote` talk.
//
// On Ethernet both are of one version of RoCE and of one family (IPv4, IPv6),
// and link-local addresses talk to such alone. Pairs are better, the first
// difference deciding:
//
// 1. RoCE v2, of RoCE v1, which routers do not forward. If there is a pair of
//    v2, v1 is skipped.
// 2. routed addresses, of link-local ones;
// 3. a `source`: the kernel knows routes and VLANs, tables do not;
// 4. IPv4, then global IPv6, then unique local IPv6 (fc00::/7), as engines
//    advertise themselves (advertised_address.h);
// 5. addresses that look like one subnet: without a `source`, this tells a
//    peer in a VLAN from one outside;
// 6. entries of the netdev in use, NicPort::netdev, before those of others, as
//    of its VLANs or the members of a bond. Of those, link-local ones are
//    skipped: fe80::/64 is everywhere, and says not in which VLAN;
// 7. lower indexes.
//
// On InfiniBand, ports with LIDs need no GIDs, and what is known of both sides'
// GIDs must agree in the subnet prefix; so must ports without a LID, whose GIDs
// are the address. Another prefix will do only with options.global_routing, and
// not if it is the default one (fe80::/64), which is not routed. A forced index
// is used in place of the LID.
//
// Given the same values with the ends exchanged, this finds the same best pair
// exchanged, so both ends may choose by themselves if each has told the other
// all of its GidEnd. If not, their pairs can still talk, but need not be the
// same: then one end had better choose and tell the other.
//
// NOT_FOUND, with the table, if a forced index is not in it.
// FAILED_PRECONDITION, with what both ends have and what to do, if nothing
// fits. What the peer told may be anything: errors escape it, and entries that
// no table can have count as none. A pure function.
absl::StatusOr<GidChoice> ChooseGids(const GidEnd& local, const GidEnd& remote,
                                     const GidChoiceOptions& options = {});

}  // namespace te

#endif  // TE_TOPOLOGY_GID_CHOICE_H_
