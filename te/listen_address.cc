#include "te/listen_address.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/topology/advertised_address.h"
#include "te/topology/network_interfaces.h"

namespace te {
namespace {

bool IsInterface(absl::Span<const NetworkInterface> interfaces,
                 absl::string_view name) {
  return std::any_of(interfaces.begin(), interfaces.end(),
                     [&](const NetworkInterface& i) { return i.name == name; });
}

bool HasAddress(absl::Span<const NetworkInterface> interfaces,
                const SocketAddress& address) {
  return address.IsLoopback() ||
         std::any_of(interfaces.begin(), interfaces.end(),
                     [&](const NetworkInterface& i) {
                       return std::find(i.addresses.begin(), i.addresses.end(),
                                        address) != i.addresses.end();
                     });
}

absl::StatusOr<SocketAddress> Resolve(
    absl::Span<const NetworkInterface> interfaces, const std::string& host,
    MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const std::vector<SocketAddress> addresses,
                      SocketAddress::Resolve(host, 0, deadline));
  for (const SocketAddress& address : addresses) {
    if (HasAddress(interfaces, address)) return address;
  }
  return absl::NotFoundError(absl::StrCat(
      "the host name ", host, " resolves to ", addresses.front().ip(),
      ", which is no address of this host; name one, or an interface"));
}

}  // namespace

absl::StatusOr<ListenAddress> ChooseListenAddress(
    absl::string_view local_server_name, MonotonicTime deadline) {
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
    // Whether it is one of this host's will show when it is listened on: there
    // are more than the interfaces list, such as all of 127.0.0.0/8.
    result.address = *literal;
    return result;
  }
  TE_ASSIGN_OR_RETURN(const std::vector<NetworkInterface> interfaces,
                      ListInterfaces());
  if (!parsed.host.empty() && !IsInterface(interfaces, parsed.host)) {
    TE_ASSIGN_OR_RETURN(result.address,
                        Resolve(interfaces, parsed.host, deadline));
    return result;
  }
  TE_ASSIGN_OR_RETURN(const AdvertisingRanking ranking,
                      RankForAdvertising(interfaces, parsed.host));
  if (ranking.candidates.empty()) {
    return absl::NotFoundError(
        "no interface of this host has an address; name one to listen on");
  }
  result.address = ranking.candidates.front().address;
  result.advertised_host = result.address.ip();
  return result;
}

}  // namespace te
