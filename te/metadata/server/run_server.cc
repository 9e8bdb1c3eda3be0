#include "te/metadata/server/run_server.h"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/grpc/server.h"
#include "te/grpc/tls.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_service.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/server/access_log.h"
#include "te/metadata/server/snapshot_keeper.h"
#include "te/program/standard_streams.h"

namespace te::metadata_server {
namespace {

// To look up --listen and to reach a backend.
constexpr std::chrono::seconds kStartTime(10);
constexpr int kMaintenanceMs = 2'000;

MonotonicTime In(Duration time) {
  return DeadlineAfter(RealClock().Now(), time);
}

struct Backend {
  std::unique_ptr<MetadataStore> store;
  InProcessStore* memory = nullptr;        // the store, if it is one
  std::unique_ptr<SnapshotKeeper> keeper;  // maybe none
};

absl::StatusOr<Backend> OpenBackend(const ServerOptions& options) {
  Backend backend;
  if (!options.store.empty()) {
    TE_ASSIGN_OR_RETURN(
        backend.store, OpenMetadataStore(options.store, In(kStartTime),
                                         {.max_watches = options.max_watches}));
    return backend;
  }
  auto memory = std::make_unique<InProcessStore>(
      InProcessStoreOptions{.max_keys = options.max_keys,
                            .max_bytes = options.max_bytes,
                            .max_watches = options.max_watches});
  if (!options.snapshot_file.empty()) {
    TE_ASSIGN_OR_RETURN(backend.keeper,
                        SnapshotKeeper::Create(*memory, options.snapshot_file));
  }
  backend.memory = memory.get();
  backend.store = std::move(memory);
  return backend;
}

MetadataServiceOptions ServiceOptions(const ServerOptions& options) {
  MetadataServiceOptions service = {
      .max_value_bytes = options.max_value_bytes,
      .max_watches = options.max_watches,
      .max_watch_streams = static_cast<size_t>(options.max_clients)};
  if (options.access_log == AccessLog::kNone) return service;
  const bool all = options.access_log == AccessLog::kAll;
  service.on_access = [all](const MetadataAccess& access) {
    LOG_IF(INFO, all || IsError(access)) << "access " << FormatAccess(access);
  };
  return service;
}

// Room for the parts of a value, their key, and what protobuf adds.
int MessageBytes(const ServerOptions& options) {
  constexpr int kBeside = 1 << 20;
  return static_cast<int>(options.max_value_bytes) + kBeside;
}

absl::StatusOr<GrpcServerOptions> GrpcOptions(const ServerOptions& options) {
  GrpcServerOptions grpc = {.name = "metadata",
                            .max_message_bytes = MessageBytes(options),
                            .max_threads = options.threads,
                            .max_connections = options.max_clients};
  TE_ASSIGN_OR_RETURN(
      const std::vector<SocketAddress> addresses,
      SocketAddress::Resolve(options.listen.host, 0, In(kStartTime)));
  grpc.address = addresses.front();
  grpc.ports = {.first = *options.listen.port, .last = *options.listen.port};
  if (!options.tls.cert_file.empty()) {
    TE_ASSIGN_OR_RETURN(grpc.credentials, TlsServerCredentials(options.tls));
  }
  return grpc;
}

std::string DescribeTls(const TlsFiles& tls) {
  if (tls.cert_file.empty()) return "no TLS";
  return tls.ca_file.empty() ? "TLS" : "TLS with certificates of clients";
}

// What a memory needs from time to time. What is wrong with the snapshot, a
// full disk for example, may pass.
void Maintain(const Backend& backend) {
  if (backend.memory != nullptr) backend.memory->Sweep();
  if (backend.keeper == nullptr) return;
  const absl::Status saved = backend.keeper->Save();
  LOG_IF(ERROR, !saved.ok())
      << "the snapshot is out of date, which is tried again: " << saved;
}

// The number of the signal that has come.
absl::StatusOr<int> AwaitSignal(program::StopSignal& stop,
                                const Backend& backend) {
  pollfd entry = {.fd = stop.fd(), .events = POLLIN, .revents = 0};
  for (;;) {
    if (poll(&entry, 1, kMaintenanceMs) < 0 && errno != EINTR) {
      return ErrnoToStatus(errno, "poll for the end");
    }
    if (const int signal = stop.Take(); signal != 0) return signal;
    Maintain(backend);
  }
}

}  // namespace

absl::Status RunServer(const ServerOptions& options, program::StopSignal& stop,
                       std::ostream& out) {
  TE_ASSIGN_OR_RETURN(const GrpcServerOptions grpc, GrpcOptions(options));
  TE_ASSIGN_OR_RETURN(const Backend backend, OpenBackend(options));
  MetadataService service(*backend.store, ServiceOptions(options));
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<GrpcServer> server,
                      GrpcServer::Create(grpc, {&service}));
  server->SetServing(true);
  out << "Metadata server is ready: " << (grpc.credentials ? "grpcs" : "grpc")
      << "://" << server->bound_address().ToString() << ", backend "
      << (options.store.empty() ? "memory"
                                : DescribeMetadataStore(options.store).value())
      << ", " << DescribeTls(options.tls) << std::endl;
  TE_RETURN_IF_ERROR(program::CheckWritten(out));
  TE_ASSIGN_OR_RETURN(const int signal, AwaitSignal(stop, backend));
  LOG(INFO) << "Received signal " << signal
            << ", stopping when the calls in progress have ended, in "
            << std::chrono::ceil<std::chrono::seconds>(options.drain).count()
            << " s at the latest; a second signal stops at once";
  // The second one would lose what has changed since the last snapshot.
  Maintain(backend);
  stop.Release();
  server->SetServing(false);
  service.EndWatches();
  server->Shutdown(In(options.drain));
  return backend.keeper == nullptr ? absl::OkStatus() : backend.keeper->Save();
}

}  // namespace te::metadata_server
