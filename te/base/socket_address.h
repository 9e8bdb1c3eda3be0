#ifndef TE_BASE_SOCKET_ADDRESS_H_
#define TE_BASE_SOCKET_ADDRESS_H_

#include <stdint.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te {

// An IPv4 or IPv6 address with a port, as the socket calls take it. A value
// type.
class SocketAddress {
 public:
  // 0.0.0.0:0
  SocketAddress();

  // From a literal: "10.0.0.1", "::1", "fe80::1%eth0"; no brackets, no names,
  // no DNS. INVALID_ARGUMENT quotes what is no address or no interface.
  static absl::StatusOr<SocketAddress> FromIp(absl::string_view ip,
                                              uint16_t port);

  // From what accept, getsockname or recvfrom filled in. INVALID_ARGUMENT for
  // other families and for lengths that do not fit.
  static absl::StatusOr<SocketAddress> FromSockaddr(const sockaddr* address,
                                                    socklen_t length);

  // Every address of `host`, a literal or a name, in the resolver's order of
  // preference and without duplicates; never empty. Literals do no I/O. The
  // system's resolver cannot be interrupted: past the deadline this returns
  // DEADLINE_EXCEEDED and leaves it to finish on its own thread, which ends
  // when the resolver gives up (resolv.conf `timeout` and `attempts`). While 16
  // such threads are left, names get RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::vector<SocketAddress>> Resolve(
      absl::string_view host, uint16_t port, MonotonicTime deadline);

  // AF_INET or AF_INET6.
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  SocketAddress WithPort(uint16_t port) const;
  // 0.0.0.0 and ::, which mean every address when listened on.
  bool IsUnspecified() const;
  bool IsLoopback() const;

  const sockaddr* data() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return reinterpret_cast<const sockaddr*>(&storage_);
  }
  socklen_t length() const;

  // "10.0.0.1", "fe80::1%eth0": what FromIp reads.
  std::string ip() const;
  // "10.0.0.1:80", "[fe80::1%eth0]:80".
  std::string ToString() const;

  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

 private:
  sockaddr_storage storage_ = {};
};

}  // namespace te

#endif  // TE_BASE_SOCKET_ADDRESS_H_
