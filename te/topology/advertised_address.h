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

// An address under which peers on other hosts may find this process.
struct AdvertisingCandidate {
  std::string interface;
  SocketAddress address;  // with port 0
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
// IPv4 comes before global IPv6, and that before unique local IPv6 (fc00::/7);
// among equals the order of `interfaces` stays. What is down, loopback,
// link-local or of a container network is skipped. If nothing else is left,
// loopback addresses are candidates, which serves peers on this host.
//
// A non-empty `preferred` names an interface ("eth1") or an address
// ("10.0.0.7"): its addresses come first, whatever kind they are, because the
// user knows better. NOT_FOUND, with what there is, if it names nothing here;
// FAILED_PRECONDITION if what it names is down or has no address.
//
// A pure function.
absl::StatusOr<AdvertisingRanking> RankForAdvertising(
    absl::Span<const NetworkInterface> interfaces, absl::string_view preferred);

}  // namespace te

#endif  // TE_TOPOLOGY_ADVERTISED_ADDRESS_H_
