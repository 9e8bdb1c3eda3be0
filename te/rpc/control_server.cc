#include "te/rpc/control_server.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/grpc_deadline.h"

namespace te {
namespace {

// Time for a client to say hello in HTTP/2, so that strangers who connect and
// say nothing do not pile up. gRPC's default is two minutes.
constexpr int kServerHandshakeTimeoutMs = 10'000;

// How often the ports are tried. When two sockets begin to listen on one port
// at the same moment, Linux refuses both (each announces itself before it is
// checked, see inet_csk_listen_start), so a port that was refused may be free.
constexpr int kPasses = 5;

absl::Status Validate(const ControlServerOptions& options) {
  if (options.incarnation.IsZero()) {
    return absl::InvalidArgumentError("control server: no incarnation given");
  }
  if (options.max_threads < 2 || options.max_message_bytes <= 0 ||
      options.max_call_time <= Duration::zero()) {
    return absl::InvalidArgumentError(
        absl::StrCat("control server: max_threads ", options.max_threads,
                     " must be 2 or more, max_message_bytes ",
                     options.max_message_bytes, " and max_call_time ",
                     options.max_call_time.count(), " ns above zero"));
  }
  if (options.ports.first > options.ports.last) {
    return absl::InvalidArgumentError(
        absl::StrCat("control server: the port range ",
                     options.ports.ToString(), " ends before it begins"));
  }
  return absl::OkStatus();
}

// Whether the address could be listened on now, and if not, why: gRPC only says
// that it failed. The socket is bound but never listens, and it sets
// SO_REUSEADDR as gRPC does, so that two servers which probe the same free port
// at once do not disturb each other; only a listener makes it fail.
absl::Status Probe(const SocketAddress& address) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return ErrnoToStatus(
        errno, absl::StrCat("make a socket for ", address.ToString()));
  }
  int on = 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return ErrnoToStatus(errno, "setsockopt SO_REUSEADDR");
  }
  if (bind(fd.get(), address.data(), address.length()) == 0) {
    return absl::OkStatus();
  }
  int error = errno;
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen on ", address.ToString(),
                     ": address already in use (EADDRINUSE); stop the process "
                     "that listens there (ss -ltnp), or use another port, a "
                     "range, or port 0"));
  }
  return ErrnoToStatus(
      error, absl::StrCat("listen on ", address.ToString(),
                          "; check that this host has the address (ip "
                          "address) and that the port is allowed"));
}

}  // namespace

ControlServer::ControlServer(const ControlServerOptions& options,
                             ControlHandler& handler)
    : service_(options.incarnation, options.max_call_time, handler) {}

ControlServer::~ControlServer() {
  Shutdown(RealClock().Now() + std::chrono::seconds(1));
}

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Create(
    const ControlServerOptions& options, ControlHandler& handler) {
  TE_RETURN_IF_ERROR(Validate(options));
  std::unique_ptr<ControlServer> server(new ControlServer(options, handler));
  absl::Status listening;
  for (int pass = 0; pass < kPasses; ++pass) {
    // In 32 bits, so that a range up to 65535 ends.
    for (uint32_t port = options.ports.first; port <= options.ports.last;
         ++port) {
      listening = server->Listen(options, static_cast<uint16_t>(port));
      if (listening.ok()) return server;
      if (!absl::IsAlreadyExists(listening)) return listening;
    }
  }
  if (options.ports.size() == 1) return listening;
  return absl::AlreadyExistsError(
      absl::StrCat("listen on ", options.address.ip(), ": every port of ",
                   options.ports.ToString(),
                   " is in use (EADDRINUSE); widen the range or use port 0"));
}

absl::Status ControlServer::Listen(const ControlServerOptions& options,
                                   uint16_t port) {
  const SocketAddress address = options.address.WithPort(port);
  TE_RETURN_IF_ERROR(Probe(address));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ResourceQuota quota("te-control");
  quota.SetMaxThreads(options.max_threads);
  grpc::ServerBuilder builder;
  builder.SetResourceQuota(quota);
  // With gRPC's default, several servers share one port in silence.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kServerHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             options.max_threads);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.SetMaxSendMessageSize(options.max_message_bytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  int bound_port = 0;
  builder.AddListeningPort(address.ToString(),
                           grpc::InsecureServerCredentials(), &bound_port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || bound_port == 0) {
    server_.reset();
    return absl::AlreadyExistsError(absl::StrCat(
        "listen on ", address.ToString(),
        ": another process began to listen there at the same moment; use "
        "another port, a range, or port 0"));
  }
  SetServing(false);
  bound_address_ = address.WithPort(static_cast<uint16_t>(bound_port));
  return absl::OkStatus();
}

void ControlServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

void ControlServer::Shutdown(MonotonicTime deadline) {
  if (server_ != nullptr) server_->Shutdown(ToGrpcDeadline(deadline));
}

}  // namespace te
