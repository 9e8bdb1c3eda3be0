#include "te/grpc/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/free_port.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"

namespace te {
namespace {

absl::Status ListenError(int error, const SocketAddress& address) {
  const auto cause = [&](const char* remedy) {
    return ErrnoToStatus(
        error, absl::StrCat("listen on ", address.ToString(), remedy));
  };
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          cause("; stop the process that listens there (ss -ltnp), or use "
                "another port, a range, or port 0")
              .message());
    case EADDRNOTAVAIL:
      // absl calls it ALREADY_EXISTS too, which would mean: try another port.
      return absl::NotFoundError(
          cause("; this host does not have the address (ip address)")
              .message());
    default:
      return cause("; check that the port is allowed");
  }
}

absl::Status SetOption(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) {
    return absl::OkStatus();
  }
  return ErrnoToStatus(
      errno, absl::StrCat("set socket option ", option, " of a port for gRPC"));
}

absl::StatusOr<SocketAddress> BoundAddress(int fd) {
  sockaddr_storage storage = {};
  auto* const bound = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof(storage);
  if (getsockname(fd, bound, &length) != 0) {
    return ErrnoToStatus(errno, "getsockname of a port for gRPC");
  }
  return SocketAddress::FromSockaddr(bound, length);
}

absl::StatusOr<GrpcListener> ListenOn(const SocketAddress& address) {
  UniqueFd fd(
      socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return ErrnoToStatus(
        errno, absl::StrCat("make a socket for ", address.ToString()));
  }
  // A restarted engine takes its port back although old connections linger.
  TE_RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));
  if (address.family() == AF_INET6) {
    // Whatever net.ipv6.bindv6only says.
    TE_RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0));
  }
  if (bind(fd.get(), address.data(), address.length()) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return ListenError(errno, address);
  }
  TE_ASSIGN_OR_RETURN(SocketAddress bound, BoundAddress(fd.get()));
  return GrpcListener{std::move(fd), bound};
}

}  // namespace

absl::StatusOr<GrpcListener> ListenForGrpc(const SocketAddress& address,
                                           const PortRange& ports) {
  GrpcListener listener;
  const absl::Status found =
      FindFreePort(ports, [&](uint16_t port) -> absl::Status {
        TE_ASSIGN_OR_RETURN(listener, ListenOn(address.WithPort(port)));
        return absl::OkStatus();
      });
  if (found.ok()) return listener;
  if (ports.size() == 1 || !absl::IsAlreadyExists(found)) return found;
  return absl::AlreadyExistsError(absl::StrCat(
      "listen on ", address.ip(), ": every port of ", ports.ToString(),
      " is in use (EADDRINUSE); widen the range or use port 0"));
}

}  // namespace te
