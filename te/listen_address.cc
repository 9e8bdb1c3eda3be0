#include "te/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/topology/advertised_address.h"

namespace te {
namespace {

bool IsInterface(absl::Span<const NetworkInterface> interfaces,
                 absl::string_view name) {
  return std::any_of(interfaces.begin(), interfaces.end(),
                     [&](const NetworkInterface& i) { return i.name == name; });
}

bool HasAddress(absl::Span<const NetworkInterface> interfaces,
                const SocketAddress& address) {
  return std::any_of(
      interfaces.begin(), interfaces.end(), [&](const NetworkInterface& i) {
        return std::find(i.addresses.begin(), i.addresses.end(), address) !=
               i.addresses.end();
      });
}

// The names that mean loopback wherever they are used (RFC 6761, and what
// distributions write into /etc/hosts).
bool MeansLoopback(absl::string_view host) {
  const std::string name = absl::AsciiStrToLower(host);
  return name == "localhost" || absl::StartsWith(name, "localhost.") ||
         absl::EndsWith(name, ".localhost") || name == "ip6-localhost" ||
         name == "ip6-loopback";
}

// Broadcast (RFC 919) and multicast (RFC 1112, RFC 4291).
bool IsForMany(const SocketAddress& address) {
  if (address.family() == AF_INET6) {
    return IN6_IS_ADDR_MULTICAST(
        &reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr);
  }
  const in_addr_t ip = ntohl(
      reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr);
  return IN_MULTICAST(ip) || ip == INADDR_BROADCAST;
}

// The address of this host that others can use best; a loopback address only
// if there is no other one.
absl::StatusOr<SocketAddress> AddressOfThisHost(
    absl::Span<const NetworkInterface> interfaces, const std::string& host,
    absl::Span<const SocketAddress> resolved) {
  for (const SocketAddress& address : resolved) {
    if (!address.IsLoopback() && HasAddress(interfaces, address)) {
      return address;
    }
  }
  for (const SocketAddress& address : resolved) {
    if (address.IsLoopback()) return address;
  }
  return absl::NotFoundError(absl::StrCat(
      "the host name ", host, " resolves to ", resolved.front().ip(),
      ", which is no address of this host; name one, or an interface"));
}

// What the best address depends on.
struct Surroundings {
  std::vector<NetworkInterface> interfaces;
  absl::Span<const HostPort> metadata_servers;
  MonotonicTime deadline;
  const HostLookup& lookup;
};

std::vector<RouteToServer> FindRoutes(const Surroundings& around) {
  std::vector<RouteToServer> routes;
  for (const HostPort& server : around.metadata_servers) {
    const absl::StatusOr<std::vector<SocketAddress>> resolved =
        around.lookup.resolve(server.host, server.port.value_or(0),
                              around.deadline);
    // Whoever needs the server will fail, and say so louder.
    LOG_IF(INFO, !resolved.ok())
        << "the metadata server " << server.ToString()
        << " has no say in which address is listened on: " << resolved.status();
    if (!resolved.ok()) continue;
    for (const SocketAddress& destination : *resolved) {
      const absl::StatusOr<SocketAddress> source =
          around.lookup.route_source(destination);
      // No route is usual for one of the two IP versions.
      if (!source.ok()) continue;
      routes.push_back({.server = "the metadata server",
                        .destination = destination,
                        .source = *source});
    }
  }
  return routes;
}

absl::StatusOr<AdvertisingCandidate> BestAddress(const Surroundings& around,
                                                 absl::string_view preferred) {
  TE_ASSIGN_OR_RETURN(
      const AdvertisingRanking ranking,
      RankForAdvertising(around.interfaces, preferred, FindRoutes(around)));
  if (ranking.candidates.empty()) {
    return absl::NotFoundError(
        "no interface of this host has an address; name one to listen on");
  }
  return ranking.candidates.front();
}

void ListenOn(const AdvertisingCandidate& best, ListenAddress& result) {
  result.address = best.address;
  result.advertised_host = best.address.ip();
  result.reason = best.reason;
}

// `result` already has the name, and gets its address. Debian maps a machine's
// own name to 127.0.1.1, which is not what somebody who gives that name wants.
absl::Status ListenOnName(const Surroundings& around,
                          absl::Span<const SocketAddress> resolved,
                          ListenAddress& result) {
  const std::string host = result.advertised_host;
  TE_ASSIGN_OR_RETURN(result.address,
                      AddressOfThisHost(around.interfaces, host, resolved));
  if (!result.address.IsLoopback() || MeansLoopback(host)) {
    return absl::OkStatus();
  }
  TE_ASSIGN_OR_RETURN(const AdvertisingCandidate best, BestAddress(around, ""));
  if (best.address.IsLoopback()) return absl::OkStatus();
  LOG(WARNING) << "the host name " << host << " resolves to "
               << result.address.ip()
               << ", which no other host can reach; listening on "
               << best.address.ip()
               << " instead. Correct /etc/hosts, or name an address or an "
                  "interface";
  ListenOn(best, result);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ListenAddress> ChooseListenAddress(
    absl::string_view local_server_name,
    absl::Span<const HostPort> metadata_servers, MonotonicTime deadline,
    const HostLookup& lookup) {
  HostPortRange parsed;
  if (!local_server_name.empty()) {
    TE_ASSIGN_OR_RETURN(parsed, HostPortRange::Parse(local_server_name));
  }
  ListenAddress result = {.address = {},
                          .ports = parsed.ports.value_or(PortRange{}),
                          .advertised_host = parsed.host};
  const auto literal = SocketAddress::FromIp(parsed.host, 0);
  if (!parsed.host.empty() && literal.ok()) {
    if (literal->IsUnspecified()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the local server name ", local_server_name,
          " means every address of this host, but peers must be told one: "
          "name it, or an interface"));
    }
    if (IsForMany(*literal)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the local server name ", local_server_name,
          " is a broadcast or multicast address, at which nobody can connect; "
          "name an address of this host, or an interface"));
    }
    // Whether it is one of this host's will show when it is listened on: there
    // are more than the interfaces list, such as all of 127.0.0.0/8.
    result.address = *literal;
    return result;
  }
  TE_ASSIGN_OR_RETURN(std::vector<NetworkInterface> interfaces,
                      lookup.interfaces());
  const Surroundings around = {.interfaces = std::move(interfaces),
                               .metadata_servers = metadata_servers,
                               .deadline = deadline,
                               .lookup = lookup};
  if (parsed.host.empty() || IsInterface(around.interfaces, parsed.host)) {
    TE_ASSIGN_OR_RETURN(const AdvertisingCandidate best,
                        BestAddress(around, parsed.host));
    ListenOn(best, result);
    return result;
  }
  TE_ASSIGN_OR_RETURN(const std::vector<SocketAddress> resolved,
                      lookup.resolve(parsed.host, 0, deadline));
  TE_RETURN_IF_ERROR(ListenOnName(around, resolved, result));
  return result;
}

}  // namespace te
