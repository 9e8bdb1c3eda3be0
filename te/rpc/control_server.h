#ifndef TE_RPC_CONTROL_SERVER_H_
#define TE_RPC_CONTROL_SERVER_H_

#include <memory>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/grpc/server.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/control_service.h"

namespace te {

struct ControlServerOptions {
  // The start of the engine that this server speaks for.
  Incarnation incarnation;
  // Where it listens and what it may use. A peer has one connection, or a few
  // for a moment.
  GrpcServerOptions server = {.name = "control"};
};

// Answers the control plane's requests of one engine. Owned by the engine.
// Thread-safe. See GrpcServer, also for what a hostile peer can do.
class ControlServer {
 public:
  // Listens when it returns. INVALID_ARGUMENT without an incarnation; other
  // errors are those of GrpcServer::Create. `handler` is borrowed and outlives
  // the server.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Create(
      const ControlServerOptions& options, ControlHandler& handler);

  // Shuts down with a grace of one second.
  ~ControlServer() = default;
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // As GrpcServer's.
  void SetServing(bool serving) { server_->SetServing(serving); }
  void Shutdown(MonotonicTime deadline) { server_->Shutdown(deadline); }
  const SocketAddress& bound_address() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return server_->bound_address();
  }

 private:
  ControlServer(const ControlServerOptions& options, ControlHandler& handler);

  ControlService service_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace te

#endif  // TE_RPC_CONTROL_SERVER_H_
