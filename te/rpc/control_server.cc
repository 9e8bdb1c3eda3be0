#include "te/rpc/control_server.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/status_macros.h"
#include "te/grpc/server.h"
#include "te/rpc/control_handler.h"

namespace te {

ControlServer::ControlServer(const ControlServerOptions& options,
                             ControlHandler& handler)
    : service_(options.incarnation, options.server.max_call_time, handler) {}

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Create(
    const ControlServerOptions& options, ControlHandler& handler) {
  if (options.incarnation.IsZero()) {
    return absl::InvalidArgumentError("control server: no incarnation given");
  }
  std::unique_ptr<ControlServer> server(new ControlServer(options, handler));
  TE_ASSIGN_OR_RETURN(server->server_,
                      GrpcServer::Create(options.server, {&server->service_}));
  return server;
}

}  // namespace te
