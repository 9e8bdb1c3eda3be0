#ifndef TE_TOPOLOGY_ROUTE_SOURCE_H_
#define TE_TOPOLOGY_ROUTE_SOURCE_H_

#include "absl/status/statusor.h"
#include "te/base/socket_address.h"

namespace te {

// The address of this host, with port 0, from which the kernel would send to
// `destination`: what its routes, their preferred sources and the rules of
// policy routing come to. Nothing is sent, and whether anybody is there does
// not show. Does not block.
//
// UNAVAILABLE if there is no route. Thread-safe.
absl::StatusOr<SocketAddress> RouteSource(const SocketAddress& destination);

}  // namespace te

#endif  // TE_TOPOLOGY_ROUTE_SOURCE_H_
