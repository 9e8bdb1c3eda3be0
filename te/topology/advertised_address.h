#ifndef TE_TOPOLOGY_ADVERTISED_ADDRESS_H_
#define TE_TOPOLOGY_ADVERTISED_ADDRESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/socket_address.h"
#include "te/topology/network_interfaces.h"

namespace te {

// The way from this host to a server that its peers reach as well, such as the
// metadata server: how this host reaches that is likely how they reach it.
struct RouteToServer {
  std::string server;  // for people: "the metadata server"
  SocketAddress destination;
  // What RouteSource (route_source.h) says of it, with port 0.
  SocketAddress source;
};

// An address under which peers on other hosts may find this process.
struct AdvertisingCandidate {
  std::string interface;
  SocketAddress address;  // with port 0
  // Why it stands where it does, for people:
  // "carries the route to the metadata server 10.0.0.5", "is IPv4"
  std::string reason = "";
};

// An interface, or one address of it, that peers had better not be told.
struct SkippedForAdvertising {
  std::string interface;
  // Empty where the whole interface is skipped.
  std::string address;
  // For people: "is down", "is a bridge of Docker: other hosts cannot reach it"
  std::string reason;
};

struct AdvertisingRanking {
  // Best first.
  std::vector<AdvertisingCandidate> candidates;
  std::vector<SkippedForAdvertising> skipped;
};

// Ranks the addresses of `interfaces` for being told to peers. Containers are
// why this is more than taking the first one: bridges and virtual links have
// addresses that mean nothing, or another machine, elsewhere.
//
// What is down, loopback, link-local or of a container network is skipped. If
// nothing else is left, loopback addresses are candidates, which serves peers
// on this host. The order of the candidates:
//
// 1. What `preferred` names, if not empty: an interface ("eth1") or an address
//    ("10.0.0.7"), whatever kind it is, because the user knows better.
//    NOT_FOUND, with what there is, if it names nothing here;
//    FAILED_PRECONDITION if what it names is down or has no address.
// 2. The source of the first of `routes`, then the other addresses of its
//    interface; then those of the next. A loopback source says nothing. One
//    that is the destination itself stands for its interface alone: the server
//    is on this host, perhaps at an address that moves to another with it.
// 3. IPv4, then global IPv6, then unique local IPv6 (fc00::/7).
// 4. The order of `interfaces`.
//
// A pure function.
absl::StatusOr<AdvertisingRanking> RankForAdvertising(
    absl::Span<const NetworkInterface> interfaces, absl::string_view preferred,
    absl::Span<const RouteToServer> routes = {});

}  // namespace te

#endif  // TE_TOPOLOGY_ADVERTISED_ADDRESS_H_
