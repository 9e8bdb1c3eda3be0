#include "te/transport/tcp/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/errno_status.h"
#include "te/base/free_port.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"

namespace te::tcp {
namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::seconds;

absl::Status SetOption(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) {
    return absl::OkStatus();
  }
  return ErrnoToStatus(errno, absl::StrCat("setting socket option ", option,
                                           " to ", value, " failed"));
}

absl::Status SetBuffers(int fd, int bytes) {
  if (bytes == 0) return absl::OkStatus();
  TE_RETURN_IF_ERROR(SetOption(fd, SOL_SOCKET, SO_SNDBUF, bytes));
  return SetOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

// By getsockname or getpeername.
absl::StatusOr<SocketAddress> AddressBy(int (*get)(int, sockaddr*, socklen_t*),
                                        int fd, absl::string_view name) {
  sockaddr_storage storage = {};
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof(storage);
  if (get(fd, address, &length) != 0) {
    return ErrnoToStatus(errno, absl::StrCat(name, " failed"));
  }
  return SocketAddress::FromSockaddr(address, length);
}

absl::StatusOr<SocketAddress> RemoteAddress(int fd) {
  return AddressBy(getpeername, fd, "getpeername");
}

absl::Status ListenError(int error, const SocketAddress& address) {
  const absl::Status status = ErrnoToStatus(
      error, absl::StrCat("cannot listen on ", address.ToString(),
                          " for tcp data; is the address one of this host, "
                          "and the port free?"));
  // absl calls the second one ALREADY_EXISTS.
  if (error == EADDRINUSE) return absl::AlreadyExistsError(status.message());
  if (error == EADDRNOTAVAIL) return absl::NotFoundError(status.message());
  return status;
}

// Every kernel has it. Where an administrator forbids it, the connection is as
// good as without.
void TakeReno(int fd) {
  constexpr char kReno[] = "reno";
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kReno, sizeof(kReno) - 1);
}

absl::StatusOr<UniqueFd> ListenOn(const SocketAddress& address,
                                  const TcpOptions& options) {
  UniqueFd fd(
      socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "cannot make a tcp socket");
  // A restarted engine takes its port back although old connections linger.
  TE_RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));
  // Accepted sockets inherit them; the receive window is settled by then.
  TE_RETURN_IF_ERROR(SetBuffers(fd.get(), options.socket_buffer_bytes));
  if (address.IsLoopback()) TakeReno(fd.get());
  if (bind(fd.get(), address.data(), address.length()) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return ListenError(errno, address);
  }
  return fd;
}

}  // namespace

absl::StatusOr<UniqueFd> Listen(const TcpOptions& options) {
  TE_ASSIGN_OR_RETURN(const SocketAddress address,
                      SocketAddress::FromIp(options.listen_ip, 0));
  UniqueFd listener;
  TE_RETURN_IF_ERROR(
      FindFreePort(options.listen_ports, [&](uint16_t port) -> absl::Status {
        TE_ASSIGN_OR_RETURN(listener,
                            ListenOn(address.WithPort(port), options));
        return absl::OkStatus();
      }));
  return listener;
}

absl::StatusOr<SocketAddress> LocalAddress(int fd) {
  return AddressBy(getsockname, fd, "getsockname");
}

absl::Status Configure(int fd, const TcpOptions& options) {
  TE_RETURN_IF_ERROR(SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1));
  TE_RETURN_IF_ERROR(SetBuffers(fd, options.socket_buffer_bytes));
  // TCP_USER_TIMEOUT (tcp(7)) ends a connection whose data are not
  // acknowledged; keepalive probes make that true of an idle one.
  constexpr int kProbes = 4;
  const auto timeout =
      std::max<int64_t>(ceil<milliseconds>(options.peer_timeout).count(), 1);
  const auto interval = std::clamp<int64_t>(
      ceil<seconds>(options.peer_timeout).count() / (kProbes + 1), 1, 3600);
  TE_RETURN_IF_ERROR(
      SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                static_cast<int>(std::min<int64_t>(timeout, INT_MAX))));
  TE_RETURN_IF_ERROR(SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  TE_RETURN_IF_ERROR(
      SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(interval)));
  TE_RETURN_IF_ERROR(
      SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(interval)));
  return SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

bool IsWithinOneHost(const SocketAddress& local, const SocketAddress& remote) {
  return remote.IsLoopback() || local.WithPort(0) == remote.WithPort(0);
}

void AvoidPacingOnOneHost(int fd) {
  const auto local = LocalAddress(fd);
  const auto remote = RemoteAddress(fd);
  if (local.ok() && remote.ok() && IsWithinOneHost(*local, *remote)) {
    TakeReno(fd);
  }
}

absl::StatusOr<UniqueFd> Connect(const SocketAddress& address,
                                 const TcpOptions& options,
                                 MonotonicTime deadline) {
  UniqueFd fd(
      socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "cannot make a tcp socket");
  TE_RETURN_IF_ERROR(Configure(fd.get(), options));
  if (address.IsLoopback()) TakeReno(fd.get());
  const absl::Status connected =
      ConnectSocket(fd.get(), address.data(), address.length(), deadline);
  if (connected.ok()) {
    AvoidPacingOnOneHost(fd.get());
    return fd;
  }
  return absl::UnavailableError(absl::StrCat(
      "connecting to ", address.ToString(), " failed: ", connected.message()));
}

std::string DescribeSocket(int fd) {
  const auto local = LocalAddress(fd);
  const auto remote = RemoteAddress(fd);
  return absl::StrCat(local.ok() ? local->ToString() : "?", " to ",
                      remote.ok() ? remote->ToString() : "a closed socket");
}

}  // namespace te::tcp
