#include "te/topology/advertised_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
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

// Lower is better.
int Rank(const SocketAddress& address) {
  if (address.family() == AF_INET) return 0;
  const bool unique_local =
      (Ipv6(address).s6_addr[0] & 0xfe) == 0xfc;  // fc00::/7, RFC 4193
  return unique_local ? 2 : 1;
}

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
void AddInterface(const NetworkInterface& interface,
                  AdvertisingRanking& ranking) {
  std::string reason = ReasonToSkip(interface);
  if (!reason.empty()) {
    ranking.skipped.push_back({interface.name, "", std::move(reason)});
    return;
  }
  for (const SocketAddress& address : interface.addresses) {
    if (IsLinkLocal(address)) {
      ranking.skipped.push_back(
          {interface.name, address.ip(), "is link-local: not routed"});
    } else {
      ranking.candidates.push_back({interface.name, address});
    }
  }
}

void AddLoopback(absl::Span<const NetworkInterface> interfaces,
                 std::vector<AdvertisingCandidate>& candidates) {
  for (const NetworkInterface& interface : interfaces) {
    if (!interface.loopback || !interface.up) continue;
    for (const SocketAddress& address : interface.addresses) {
      candidates.push_back({interface.name, address});
    }
  }
}

void SortByRank(std::vector<AdvertisingCandidate>& candidates) {
  std::stable_sort(
      candidates.begin(), candidates.end(),
      [](const AdvertisingCandidate& a, const AdvertisingCandidate& b) {
        return Rank(a.address) < Rank(b.address);
      });
}

bool IsNamed(const AdvertisingCandidate& candidate,
             absl::string_view preferred) {
  return candidate.interface == preferred ||
         candidate.address.ip() == preferred;
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
    absl::Span<const NetworkInterface> interfaces,
    absl::string_view preferred) {
  // Other spellings of an address, such as 0:0:0:0:0:0:0:1, count as well.
  const absl::StatusOr<SocketAddress> ip = SocketAddress::FromIp(preferred, 0);
  const std::string name = ip.ok() ? ip->ip() : std::string(preferred);
  std::vector<AdvertisingCandidate> named;
  bool found = false;
  for (const NetworkInterface& interface : interfaces) {
    found = found || interface.name == name;
    for (const SocketAddress& address : interface.addresses) {
      if (!IsNamed({interface.name, address}, name)) continue;
      if (!interface.up) {
        return absl::FailedPreconditionError(
            absl::StrCat("interface ", interface.name, " of '", preferred,
                         "' is down: switch it on (ip link set ",
                         interface.name, " up) or name another"));
      }
      named.push_back({interface.name, address});
    }
  }
  if (!named.empty()) {
    SortByRank(named);
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
    absl::Span<const NetworkInterface> interfaces,
    absl::string_view preferred) {
  AdvertisingRanking ranking;
  for (const NetworkInterface& interface : interfaces) {
    AddInterface(interface, ranking);
  }
  if (ranking.candidates.empty()) AddLoopback(interfaces, ranking.candidates);
  SortByRank(ranking.candidates);
  if (preferred.empty()) return ranking;

  TE_ASSIGN_OR_RETURN(std::vector<AdvertisingCandidate> candidates,
                      Named(interfaces, preferred));
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
