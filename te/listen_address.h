#ifndef TE_LISTEN_ADDRESS_H_
#define TE_LISTEN_ADDRESS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/topology/network_interfaces.h"
#include "te/topology/route_source.h"

namespace te {

// Where an engine listens.
struct ListenAddress {
  SocketAddress address;  // with port 0
  PortRange ports;
  // What peers are told: the host as the user wrote it, or the address.
  std::string advertised_host;
  // Why it is this address, for people, as of AdvertisingCandidate: "carries
  // the route to the metadata server 10.0.0.5". Empty if the user named it.
  std::string reason = "";
};

// Whom ChooseListenAddress asks about this host. Tests script it.
struct HostLookup {
  std::function<absl::StatusOr<std::vector<NetworkInterface>>()> interfaces =
      ListInterfaces;
  std::function<absl::StatusOr<std::vector<SocketAddress>>(
      absl::string_view host, uint16_t port, MonotonicTime deadline)>
      resolve = SocketAddress::Resolve;
  std::function<absl::StatusOr<SocketAddress>(const SocketAddress& destination)>
      route_source = RouteSource;
};

// Makes sense of Options::local_server_name. Resolves host names, by
// `deadline`, and prefers an address that an interface has. Where there is a
// choice, as with no name or an interface's, that address is best which carries
// the route to the first of `metadata_servers`; servers that are not resolved
// in time, or to which there is no route, have no say. A name that means
// loopback on this host alone, as a machine's own name often does, would make
// an engine that no other host can reach: unless it is a localhost, or there is
// no network, such a name is taken for none, with a warning.
//
// kInvalidArgument: malformed, every address at once (0.0.0.0, ::), of which
// peers could not be told one, or broadcast or multicast; kNotFound: no address
// of this host.
absl::StatusOr<ListenAddress> ChooseListenAddress(
    absl::string_view local_server_name,
    absl::Span<const HostPort> metadata_servers, MonotonicTime deadline,
    const HostLookup& lookup = {});

}  // namespace te

#endif  // TE_LISTEN_ADDRESS_H_
