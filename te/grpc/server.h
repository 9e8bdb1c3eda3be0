#ifndef TE_GRPC_SERVER_H_
#define TE_GRPC_SERVER_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/grpc/connection_acceptor.h"
#include "te/grpc/listener.h"

namespace te {

struct GrpcServerOptions {
  // What it serves, in messages ("control port") and in the name of the thread
  // that accepts connections ("te-control").
  std::string name;
  // The address to listen on; its port is ignored. No other is listened on,
  // except that :: means every address of both families.
  SocketAddress address;
  // The ports to try, in order; 0 lets the system choose.
  PortRange ports;
  // Null: no TLS.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Of one message, either way.
  int max_message_bytes = 17 << 20;
  // Threads of this server, which bounds the calls in progress. A call beyond
  // them is refused with RESOURCE_EXHAUSTED. At least 2: gRPC polls with one.
  int max_threads = 16;
  // Connections at a time, but no more than half of the process's limit of open
  // files, so that strangers do not use up all of them. One beyond them is
  // closed at once.
  int max_connections = 1024;
  // How long the services let a call last at most.
  Duration max_call_time = std::chrono::seconds(30);
};

// A gRPC server that is bounded: it serves the services given, and gRPC's
// standard health checks (grpc.health.v1). Thread-safe.
//
// What a hostile peer can still do: gRPC 1.51 obeys its limits of calls and of
// headers only once the peer has acknowledged them, so one that never does
// makes the process grow by the bytes that it sends, until its connection ends:
// after ten minutes and max_call_time at the latest. Measured without effect:
// gRPC's memory quota. One that begins calls and resets them at once makes it
// grow by 200 MB a second, and keeps it busy for several times as long as it
// sends. And a call that takes in no answer, or a stream that its
// service does not end, occupies a thread for as long. Let only hosts that you
// trust reach the port.
//
// gRPC offers health checks through a switch for the whole process; Create sets
// it, so other gRPC servers that the program makes later offer them too.
class GrpcServer {
 public:
  // Listens when it returns. ALREADY_EXISTS when the port, or every port of the
  // range, is in use; NOT_FOUND when this host does not have the address;
  // INVALID_ARGUMENT for options out of bounds; otherwise the cause from the
  // system. The text names the address. RESOURCE_EXHAUSTED when gRPC would lack
  // descriptors or threads. There is at least one
  // service; they are borrowed and outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Create(
      const GrpcServerOptions& options,
      absl::Span<grpc::Service* const> services);

  // Shuts down with a grace of one second.
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // What health checks are told: not serving, at first.
  void SetServing(bool serving);

  // Stops listening, lets calls in progress end until the deadline, cancels the
  // rest, and returns when no handler runs any more. That can only be later
  // than the deadline when a handler ignores its own. Does nothing the second
  // time.
  void Shutdown(MonotonicTime deadline);

  // With the port that was found.
  const SocketAddress& bound_address() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return bound_address_;
  }

 private:
  GrpcServer() = default;

  absl::Status Start(const GrpcServerOptions& options,
                     absl::Span<grpc::Service* const> services,
                     GrpcListener listener);

  SocketAddress bound_address_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

}  // namespace te

#endif  // TE_GRPC_SERVER_H_
