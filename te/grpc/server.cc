#include "te/grpc/server.h"

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "grpc/grpc.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/grpc/connection_acceptor.h"
#include "te/grpc/deadline.h"
#include "te/grpc/listener.h"
#include "te/grpc/room.h"

namespace te {
namespace {

// Time for a client to say hello in HTTP/2, so that strangers who connect and
// say nothing do not pile up. gRPC's default is two minutes.
constexpr int kServerHandshakeTimeoutMs = 10'000;
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// Clients whose calls last ask more often whether the server is there
// (GrpcChannelOptions::keepalive). More often than so counts as an attack.
constexpr int kMinPingMs = 1'000;
constexpr int kMaxIdleMs = 5 * 60'000;
// gRPC draws the age anew for each connection, a tenth more or less. What it
// holds for a connection goes with it.
constexpr int kMaxAgeMs = 9 * 60'000;

absl::Status Validate(const GrpcServerOptions& options) {
  if (options.max_threads < 2 || options.max_message_bytes <= 0 ||
      options.max_call_time <= Duration::zero()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.name, " server: max_threads ", options.max_threads,
                     " must be 2 or more, max_message_bytes ",
                     options.max_message_bytes, " and max_call_time ",
                     options.max_call_time.count(), " ns above zero"));
  }
  if (options.max_connections < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.name, " server: max_connections ",
                     options.max_connections, " must be 1 or more"));
  }
  if (options.ports.first > options.ports.last) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.name, " server: the port range ",
                     options.ports.ToString(), " ends before it begins"));
  }
  return absl::OkStatus();
}

// What peers may cost: see GrpcServer.
void SetLimits(grpc::ServerBuilder& builder, const GrpcServerOptions& options) {
  grpc::ResourceQuota quota("te-" + options.name);
  quota.SetMaxThreads(options.max_threads);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kServerHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             options.max_threads);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.SetMaxSendMessageSize(options.max_message_bytes);
  // A window that no message exhausts. Windows that follow the bandwidth, as
  // gRPC measures it, let one call of 16 MiB in twenty stand still with gRPC
  // 1.51 where CPUs were short, both ends waiting, until a keepalive ping came
  // 10 s later.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                             options.max_message_bytes);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
}

// Pings peers whose network or host may be gone, and lets go of connections
// that nobody uses or that are old: clients make a new one with their next
// call.
void EndConnections(grpc::ServerBuilder& builder,
                    const GrpcServerOptions& options) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Otherwise two pings are sent, and no third before there are data.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxIdleMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kMaxAgeMs);
  // No honest call is cut short.
  const auto grace =
      std::chrono::ceil<std::chrono::milliseconds>(options.max_call_time);
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
      static_cast<int>(std::min<int64_t>(grace.count(), INT_MAX)));
}

// gRPC says nothing about a certificate and a key that do not fit where
// connections come from outside, and would hold them for ever. A socket that
// nobody knows of shows it.
absl::Status CheckCredentials(
    const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  if (credentials == nullptr) return absl::OkStatus();
  TE_ASSIGN_OR_RETURN(const Incarnation name, Incarnation::Random());
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(absl::StrCat("unix-abstract:te-", name.ToString()),
                           credentials, &port);
  const auto queue = builder.AddCompletionQueue();
  const std::unique_ptr<grpc::Server> probe = builder.BuildAndStart();
  if (probe != nullptr) probe->Shutdown();
  queue->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) continue;
  if (probe != nullptr && port != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "TLS does not work with these files: check that they are PEM, that the "
      "key is that of the certificate, and that the authority's file holds "
      "certificates (openssl x509, openssl pkey); gRPC has logged more");
}

int ConnectionLimit(int wanted) {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
  return static_cast<int>(
      std::min(static_cast<rlim_t>(wanted), files.rlim_cur / 2));
}

using GrpcAcceptor = grpc::experimental::ExternalConnectionAcceptor;

ConnectionAcceptor::Consumer Feed(std::unique_ptr<GrpcAcceptor> acceptor) {
  return [to = std::shared_ptr<GrpcAcceptor>(std::move(acceptor))](
             UniqueFd connection) {
    GrpcAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection.release();
    to->HandleNewConnection(&parameters);
  };
}

}  // namespace

GrpcServer::~GrpcServer() {
  Shutdown(RealClock().Now() + std::chrono::seconds(1));
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(
    const GrpcServerOptions& options,
    absl::Span<grpc::Service* const> services) {
  TE_RETURN_IF_ERROR(Validate(options));
  TE_RETURN_IF_ERROR(CheckRoomForGrpc());
  TE_RETURN_IF_ERROR(CheckCredentials(options.credentials));
  TE_ASSIGN_OR_RETURN(GrpcListener listener,
                      ListenForGrpc(options.address, options.ports));
  std::unique_ptr<GrpcServer> server(new GrpcServer);
  TE_RETURN_IF_ERROR(server->Start(options, services, std::move(listener)));
  return server;
}

absl::Status GrpcServer::Start(const GrpcServerOptions& options,
                               absl::Span<grpc::Service* const> services,
                               GrpcListener listener) {
  bound_address_ = listener.address;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetLimits(builder, options);
  EndConnections(builder, options);
  for (grpc::Service* service : services) builder.RegisterService(service);
  using Source = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  auto to_grpc = builder.experimental().AddExternalConnectionAcceptor(
      Source::FROM_FD, options.credentials == nullptr
                           ? grpc::InsecureServerCredentials()
                           : options.credentials);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::InternalError(
        absl::StrCat("gRPC refuses to serve the ", options.name, " port ",
                     bound_address_.ToString(), "; it has logged why"));
  }
  SetServing(false);
  TE_ASSIGN_OR_RETURN(acceptor_, ConnectionAcceptor::Start(
                                     options.name, std::move(listener),
                                     ConnectionLimit(options.max_connections),
                                     Feed(std::move(to_grpc))));
  return absl::OkStatus();
}

void GrpcServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

void GrpcServer::Shutdown(MonotonicTime deadline) {
  acceptor_.reset();
  if (server_ != nullptr) server_->Shutdown(ToGrpcDeadline(deadline));
}

}  // namespace te
