#include "te/topology/route_source.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"

namespace te {

absl::StatusOr<SocketAddress> RouteSource(const SocketAddress& destination) {
  const auto failed = [&](int errnum, const char* call) {
    return ErrnoToStatus(
        errnum, absl::StrCat(call, " of a UDP socket, to find the route to ",
                             destination.ip(), " (see ip route get ",
                             destination.ip(), ")"));
  };
  const UniqueFd fd(
      socket(destination.family(), SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!fd.valid()) return failed(errno, "socket");
  // Of a datagram socket it only looks up the route (udp(7)). Rejected: asking
  // by rtnetlink, which takes a hundred lines for the same answer.
  if (connect(fd.get(), destination.data(), destination.length()) != 0) {
    return failed(errno, "connect");
  }
  sockaddr_storage source = {};
  socklen_t length = sizeof(source);
  auto* const address = reinterpret_cast<sockaddr*>(&source);
  if (getsockname(fd.get(), address, &length) != 0) {
    return failed(errno, "getsockname");
  }
  TE_ASSIGN_OR_RETURN(const SocketAddress found,
                      SocketAddress::FromSockaddr(address, length));
  return found.WithPort(0);
}

}  // namespace te
