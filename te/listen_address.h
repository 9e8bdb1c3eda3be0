#ifndef TE_LISTEN_ADDRESS_H_
#define TE_LISTEN_ADDRESS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/topology/network_interfaces.h"

namespace te {

// Where an engine listens.
struct ListenAddress {
  SocketAddress address;  // with port 0
  PortRange ports;
  // What peers are told: the host as the user wrote it, or the address.
  std::string advertised_host;
};

// Whom ChooseListenAddress asks about this host. Tests script it.
struct HostLookup {
  std::function<absl::StatusOr<std::vector<NetworkInterface>>()> interfaces =
      ListInterfaces;
  std::function<absl::StatusOr<std::vector<SocketAddress>>(
      absl::string_view host, uint16_t port, MonotonicTime deadline)>
      resolve = SocketAddress::Resolve;
};

// Makes sense of Options::local_server_name. Resolves host names, by
// `deadline`, and prefers an address that an interface has. A name that means
// loopback on this host alone, as a machine's own name often does, would make
// an engine that no other host can reach: unless it is a localhost, or there is
// no network, such a name is taken for none, with a warning.
//
// kInvalidArgument: malformed, or every address at once (0.0.0.0,
// ::), of which peers could not be told one; kNotFound: no address of this
// host.
absl::StatusOr<ListenAddress> ChooseListenAddress(
    absl::string_view local_server_name, MonotonicTime deadline,
    const HostLookup& lookup = {});

}  // namespace te

#endif  // TE_LISTEN_ADDRESS_H_
