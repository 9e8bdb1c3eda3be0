#include "te/topology/advertised_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/topology/network_interfaces.h"

namespace te {
namespace {

struct ContainerNetwork {
  absl::string_view prefix;  // of the interface's name
  absl::string_view kind;
};

// The names that these programs give to what they make, from their defaults.
constexpr ContainerNetwork kContainerNetworks[] = {
    {"docker", "a bridge of Docker"},
    {"br-", "a bridge of Docker"},
    {"veth", "the host's end of a container's link"},
    {"flannel", "an overlay of flannel"},
    {"cni", "a bridge of a CNI plugin"},
    {"cali", "a link of Calico"},
    {"podman", "a bridge of Podman"},
    {"lxcbr", "a bridge of LXC"},
    {"lxdbr", "a bridge of LXD"},
    {"virbr", "a bridge of libvirt"},
    {"kube-ipvs", "the service addresses of Kubernetes"},
    {"nodelocaldns", "the name server of Kubernetes"},
};

const in6_addr& Ipv6(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
}

bool IsLinkLocal(const SocketAddress& address) {
  if (address.family() == AF_INET6) {
    return IN6_IS_ADDR_LINKLOCAL(&Ipv6(address));
  }
  const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(address.data());
  return ntohl(ipv4->sin_addr.s_addr) >> 16 == 0xa9fe;  // 169.254/16, RFC 3927
}

bool HasAddress(const NetworkInterface& interface,
                const SocketAddress& address) {
  return std::find(interface.addresses.begin(), interface.addresses.end(),
                   address) != interface.addresses.end();
}

// Where an address stands among others; lower is better.
struct Standing {
  size_t route = 0;
  int kind = 0;
};

// By the kind of address alone.
Standing KindOf(const SocketAddress& address, std::string& reason) {
  if (address.IsLoopback()) {
    reason = "is loopback, which only this host can reach; there is no other";
    return {.kind = address.family() == AF_INET ? 0 : 1};
  }
  if (address.family() == AF_INET) {
    reason = "is IPv4";
    return {.kind = 0};
  }
  const bool unique_local =
      (Ipv6(address).s6_addr[0] & 0xfe) == 0xfc;  // fc00::/7, RFC 4193
  reason = unique_local ? "is unique local IPv6" : "is global IPv6";
  return {.kind = unique_local ? 2 : 1};
}

// Also sets the candidate's reason.
Standing Judge(const NetworkInterface& interface,
               absl::Span<const RouteToServer> routes,
               AdvertisingCandidate& candidate) {
  Standing standing = KindOf(candidate.address, candidate.reason);
  for (const RouteToServer& route : routes) {
    const SocketAddress source = route.source.WithPort(0);
    if (!source.IsLoopback() && HasAddress(interface, source)) {
      const std::string server =
          absl::StrCat(route.server, " ", route.destination.ip());
      if (candidate.address == source &&
          source != route.destination.WithPort(0)) {
        candidate.reason = absl::StrCat("carries the route to ", server);
        return standing;
      }
      candidate.reason = absl::StrCat("is of ", interface.name,
                                      ", as the route to ", server, " is");
      ++standing.route;
      return standing;
    }
    standing.route += 2;
  }
  return standing;
}

// Candidates, and how they compare.
class Contest {
 public:
  explicit Contest(absl::Span<const RouteToServer> routes) : routes_(routes) {}

  void Add(const NetworkInterface& interface, const SocketAddress& address) {
    Entry entry = {.candidate = {interface.name, address}};
    entry.standing = Judge(interface, routes_, entry.candidate);
    entries_.push_back(std::move(entry));
  }

  bool empty() const { return entries_.empty(); }

  // Best first. Leaves nothing.
  std::vector<AdvertisingCandidate> Sort() {
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) {
                       return std::tie(a.standing.route, a.standing.kind) <
                              std::tie(b.standing.route, b.standing.kind);
                     });
    std::vector<AdvertisingCandidate> candidates;
    for (Entry& entry : entries_) {
      candidates.push_back(std::move(entry.candidate));
    }
    entries_.clear();
    return candidates;
  }

 private:
  struct Entry {
    AdvertisingCandidate candidate;
    Standing standing;
  };

  absl::Span<const RouteToServer> routes_;
  std::vector<Entry> entries_;
};

// Why the whole interface is skipped, or nothing.
std::string ReasonToSkip(const NetworkInterface& interface) {
  if (!interface.up) return "is down";
  if (interface.loopback) return "is loopback";
  for (const ContainerNetwork& network : kContainerNetworks) {
    if (absl::StartsWith(interface.name, network.prefix)) {
      return absl::StrCat("is ", network.kind,
                          ": other hosts cannot reach it by this address");
    }
  }
  if (interface.addresses.empty()) return "has no IP address";
  return "";
}

// Sorts the addresses of one interface into candidates and skipped.
void AddInterface(const NetworkInterface& interface, Contest& contest,
                  std::vector<SkippedForAdvertising>& skipped) {
  std::string reason = ReasonToSkip(interface);
  if (!reason.empty()) {
    skipped.push_back({interface.name, "", std::move(reason)});
    return;
  }
  for (const SocketAddress& address : interface.addresses) {
    if (IsLinkLocal(address)) {
      skipped.push_back(
          {interface.name, address.ip(), "is link-local: not routed"});
    } else {
      contest.Add(interface, address);
    }
  }
}

void AddLoopback(absl::Span<const NetworkInterface> interfaces,
                 Contest& contest) {
  for (const NetworkInterface& interface : interfaces) {
    if (!interface.loopback || !interface.up) continue;
    for (const SocketAddress& address : interface.addresses) {
      contest.Add(interface, address);
    }
  }
}

absl::Status NothingNamed(absl::Span<const NetworkInterface> interfaces,
                          absl::string_view preferred) {
  return absl::NotFoundError(absl::StrCat(
      "no network interface or address '", preferred, "' on this host; it has ",
      absl::StrJoin(interfaces, ", ",
                    [](std::string* out, const NetworkInterface& interface) {
                      absl::StrAppend(out, interface.name);
                      for (const SocketAddress& a : interface.addresses) {
                        absl::StrAppend(out, " ", a.ip());
                      }
                    })));
}

// What the user named, best first; never empty.
absl::StatusOr<std::vector<AdvertisingCandidate>> Named(
    absl::Span<const NetworkInterface> interfaces, absl::string_view preferred,
    absl::Span<const RouteToServer> routes) {
  // Other spellings of an address, such as 0:0:0:0:0:0:0:1, count as well.
  const absl::StatusOr<SocketAddress> ip = SocketAddress::FromIp(preferred, 0);
  const std::string name = ip.ok() ? ip->ip() : std::string(preferred);
  Contest contest(routes);
  bool found = false;
  for (const NetworkInterface& interface : interfaces) {
    found = found || interface.name == name;
    for (const SocketAddress& address : interface.addresses) {
      if (interface.name != name && address.ip() != name) continue;
      if (!interface.up) {
        return absl::FailedPreconditionError(
            absl::StrCat("interface ", interface.name, " of '", preferred,
                         "' is down: switch it on (ip link set ",
                         interface.name, " up) or name another"));
      }
      contest.Add(interface, address);
    }
  }
  if (!contest.empty()) {
    std::vector<AdvertisingCandidate> named = contest.Sort();
    for (AdvertisingCandidate& candidate : named) {
      candidate.reason = candidate.interface == name
                             ? absl::StrCat("is of ", name, ", which is named")
                             : "is named";
    }
    // A link-local address is reachable only with the peer's own scope.
    std::stable_partition(named.begin(), named.end(),
                          [](const AdvertisingCandidate& candidate) {
                            return !IsLinkLocal(candidate.address);
                          });
    return named;
  }
  if (!found) return NothingNamed(interfaces, preferred);
  return absl::FailedPreconditionError(
      absl::StrCat("interface ", preferred,
                   " has no IP address: give it one, or name another"));
}

}  // namespace

absl::StatusOr<AdvertisingRanking> RankForAdvertising(
    absl::Span<const NetworkInterface> interfaces, absl::string_view preferred,
    absl::Span<const RouteToServer> routes) {
  AdvertisingRanking ranking;
  Contest contest(routes);
  for (const NetworkInterface& interface : interfaces) {
    AddInterface(interface, contest, ranking.skipped);
  }
  if (contest.empty()) AddLoopback(interfaces, contest);
  ranking.candidates = contest.Sort();
  if (preferred.empty()) return ranking;

  TE_ASSIGN_OR_RETURN(std::vector<AdvertisingCandidate> candidates,
                      Named(interfaces, preferred, routes));
  for (AdvertisingCandidate& candidate : ranking.candidates) {
    const bool first =
        std::any_of(candidates.begin(), candidates.end(),
                    [&](const AdvertisingCandidate& named) {
                      return named.address == candidate.address &&
                             named.interface == candidate.interface;
                    });
    if (!first) candidates.push_back(std::move(candidate));
  }
  ranking.candidates = std::move(candidates);
  return ranking;
}

}  // namespace te
