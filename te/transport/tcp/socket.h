#ifndef TE_TRANSPORT_TCP_SOCKET_H_
#define TE_TRANSPORT_TCP_SOCKET_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/tcp_options.h"

namespace te::tcp {

// Sockets here are non-blocking and closed on exec. Errors name the address.

// Listens on exactly this address, on the first free port of
// `options.listen_ports`. ALREADY_EXISTS if all of them are in use,
// NOT_FOUND if the address is none of this host.
absl::StatusOr<UniqueFd> Listen(const TcpOptions& options);

// Connects by `deadline`.
absl::StatusOr<UniqueFd> Connect(const SocketAddress& address,
                                 const TcpOptions& options,
                                 MonotonicTime deadline);

// Prepares an accepted or connecting socket: no delay, buffers, and detection
// of peers that vanished.
absl::Status Configure(int fd, const TcpOptions& options);

// Whether a connection between the two does not leave this host.
bool IsWithinOneHost(const SocketAddress& local, const SocketAddress& remote);

// For a connection within this host takes the plainest congestion control,
// reno: one that paces, as bbr does, costs a third of the bandwidth there and
// has nothing to measure. To other hosts the system's choice stands. `fd` is
// connected. The kernel goes on pacing what bbr has begun to, at the generous
// rate that it gives reno, so Listen and Connect ask for reno before there is a
// connection, where the address tells.
void AvoidPacingOnOneHost(int fd);

// Both ends, as "127.0.0.1:1 to 127.0.0.1:2".
std::string DescribeSocket(int fd);
absl::StatusOr<SocketAddress> LocalAddress(int fd);

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_SOCKET_H_
