#ifndef TE_TOPOLOGY_NETWORK_INTERFACES_H_
#define TE_TOPOLOGY_NETWORK_INTERFACES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/socket_address.h"

namespace te {

// One network interface of this host, as the kernel showed it to this process:
// that is, in its network namespace. A value.
struct NetworkInterface {
  std::string name;
  // IPv4 and IPv6, with port 0.
  std::vector<SocketAddress> addresses;
  // Switched on, and with a carrier.
  bool up = false;
  bool loopback = false;
};

// The interfaces in the kernel's order, those without an address included.
// Thread-safe.
absl::StatusOr<std::vector<NetworkInterface>> ListInterfaces();

}  // namespace te

#endif  // TE_TOPOLOGY_NETWORK_INTERFACES_H_
