#ifndef TE_TRANSPORT_TCP_TCP_TRANSPORT_H_
#define TE_TRANSPORT_TCP_TCP_TRANSPORT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "te/base/incarnation.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/tcp/tcp_options.h"
#include "te/transport/transport.h"

namespace te {

inline constexpr char kTcpTransportName[] = "tcp";

// One-sided READ and WRITE over TCP. `self` is the engine's incarnation;
// `memory`, what peers may reach of it, must outlive the transport.
// kInvalidArgument: an option is out of its range. Otherwise the error of the
// system call that failed; nothing listens then.
absl::StatusOr<std::unique_ptr<Transport>> CreateTcpTransport(
    const TcpOptions& options, const Incarnation& self, ExposedMemory& memory);

}  // namespace te

#endif  // TE_TRANSPORT_TCP_TCP_TRANSPORT_H_
