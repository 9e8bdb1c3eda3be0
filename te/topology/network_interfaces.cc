#include "te/topology/network_interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"

namespace te {
namespace {

// The address of `entry` if it has one of a family that engines speak.
std::optional<SocketAddress> IpAddress(const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr) return std::nullopt;
  const sa_family_t family = entry.ifa_addr->sa_family;
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  const socklen_t length =
      family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  absl::StatusOr<SocketAddress> address =
      SocketAddress::FromSockaddr(entry.ifa_addr, length);
  if (!address.ok()) return std::nullopt;
  return *address;
}

NetworkInterface& FindOrAdd(const ifaddrs& entry,
                            std::vector<NetworkInterface>& interfaces) {
  const std::string name = entry.ifa_name;
  const auto found = std::find_if(
      interfaces.begin(), interfaces.end(),
      [&](const NetworkInterface& known) { return known.name == name; });
  if (found != interfaces.end()) return *found;
  constexpr unsigned kUpWithCarrier = IFF_UP | IFF_RUNNING;
  interfaces.push_back(NetworkInterface{
      .name = name,
      .up = (entry.ifa_flags & kUpWithCarrier) == kUpWithCarrier,
      .loopback = (entry.ifa_flags & IFF_LOOPBACK) != 0,
  });
  return interfaces.back();
}

}  // namespace

absl::StatusOr<std::vector<NetworkInterface>> ListInterfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return ErrnoToStatus(errno, "list the network interfaces (getifaddrs)");
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list,
                                                               &freeifaddrs);
  // One entry for each address, and one for each interface's link layer.
  std::vector<NetworkInterface> interfaces;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    NetworkInterface& interface = FindOrAdd(*entry, interfaces);
    if (std::optional<SocketAddress> address = IpAddress(*entry)) {
      interface.addresses.push_back(*address);
    }
  }
  return interfaces;
}

}  // namespace te
