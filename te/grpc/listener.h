#ifndef TE_GRPC_LISTENER_H_
#define TE_GRPC_LISTENER_H_

#include "absl/status/statusor.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/base/unique_fd.h"

namespace te {

// A socket that listens.
struct GrpcListener {
  UniqueFd fd;            // non-blocking, closed on exec
  SocketAddress address;  // with the port that was found
};

// Listens on exactly this address, whose port is ignored, at the first port of
// `ports` that is free; except that :: means IPv4's addresses too. Errors name
// the address. ALREADY_EXISTS: every port is in use. NOT_FOUND: this host does
// not have the address. Otherwise the cause from the system, at once.
absl::StatusOr<GrpcListener> ListenForGrpc(const SocketAddress& address,
                                           const PortRange& ports);

}  // namespace te

#endif  // TE_GRPC_LISTENER_H_
