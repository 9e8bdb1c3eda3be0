// The program: its flags, and what they ask for.

#include <iostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/metadata/server/run_server.h"
#include "te/metadata/server/server_options.h"
#include "te/program/exit_status.h"
#include "te/program/program.h"
#include "te/program/stop_signal.h"

namespace te::metadata_server {
namespace {

const FlagValues& Defaults() {
  static const FlagValues defaults;
  return defaults;
}

}  // namespace
}  // namespace te::metadata_server

using te::metadata_server::Defaults;

DEFINE_string(listen, Defaults().listen,
              "host:port to listen on, and no other; [::]:8090 is every "
              "address of this host. Port 0: any that is free");
DEFINE_string(backend, Defaults().backend,
              "memory: everything is lost when the server ends, and published "
              "again by the engines; or a store that servers share: "
              "redis://[[user]:password@]host[:port][/database], unix:///path");
DEFINE_string(tls_cert, Defaults().tls_cert,
              "PEM file with this server's certificate: TLS only");
DEFINE_string(tls_key, Defaults().tls_key, "PEM file with its key");
DEFINE_string(tls_client_ca, Defaults().tls_client_ca,
              "PEM file; clients must have a certificate of this authority");
DEFINE_int64(max_keys, Defaults().max_keys,
             "keys that the backend memory holds; one more is refused");
DEFINE_string(max_value, Defaults().max_value,
              "bytes of a value that one call puts at most; up to 16M");
DEFINE_string(
    max_bytes, Defaults().max_bytes,
    "bytes in keys and values that the backend memory holds, with what it "
    "takes to keep them; to write a snapshot takes three times as many");
DEFINE_int64(max_clients, Defaults().max_clients,
             "connections at a time, and no more than half of ulimit -n; one "
             "more is closed. An engine that watches others has two");
DEFINE_int64(max_watches, Defaults().max_watches,
             "keys and prefixes that all clients together watch; one more is "
             "refused, and asked for again from time to time");
DEFINE_int64(
    threads, Defaults().threads,
    "threads that serve, as many calls at a time; clients try again with "
    "one more");
DEFINE_double(drain, Defaults().drain,
              "seconds that calls in progress have after a signal to stop");
DEFINE_string(snapshot_file, Defaults().snapshot_file,
              "keeps the backend memory over a restart in this file: written "
              "every few seconds if something has changed, and at the end");
DEFINE_string(
    access_log, Defaults().access_log,
    "none, errors or all: a line of JSON on stderr for each call, and "
    "for each watch when it begins and when it ends");

namespace te::metadata_server {
namespace {

constexpr absl::string_view kIntroduction =
    R"(metadata_server keeps what engines need to find each other.

  metadata_server --listen=10.0.0.1:8090
  transfer_bench --metadata_server=grpc://10.0.0.1:8090 ...

It answers gRPC's health checks (grpc.health.v1) and reflection. SIGTERM,
SIGHUP and Ctrl-C stop it when the calls in progress have ended, a second one at
once; watches end with the first. Let only hosts that you trust reach the port:
gRPC does not hold out against those who want to exhaust it.

Exit status: 0, stopped by one signal (a second one kills); 1, something failed,
and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {
    "listen",   "backend",   "tls_cert",      "tls_key",     "tls_client_ca",
    "max_keys", "max_value", "max_bytes",     "max_clients", "max_watches",
    "threads",  "drain",     "snapshot_file", "access_log"};

constexpr program::Description kProgram = {
    .name = "metadata_server",
    .introduction = kIntroduction,
    .flags = kFlags,
    .source = "te/metadata/server/metadata_server.cc"};

FlagValues ReadFlags() {
  return {.listen = FLAGS_listen,
          .backend = FLAGS_backend,
          .tls_cert = FLAGS_tls_cert,
          .tls_key = FLAGS_tls_key,
          .tls_client_ca = FLAGS_tls_client_ca,
          .max_keys = FLAGS_max_keys,
          .max_value = FLAGS_max_value,
          .max_bytes = FLAGS_max_bytes,
          .max_clients = FLAGS_max_clients,
          .max_watches = FLAGS_max_watches,
          .threads = FLAGS_threads,
          .drain = FLAGS_drain,
          .access_log = FLAGS_access_log,
          .snapshot_file = FLAGS_snapshot_file};
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(const ServerOptions options, ParseOptions(ReadFlags()));
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(kProgram.name);
  TE_ASSIGN_OR_RETURN(program::StopSignal stop, program::StopSignal::Create());
  return program::AtRunTime(RunServer(options, stop, std::cout));
}

}  // namespace
}  // namespace te::metadata_server

int main(int argc, char** argv) {
  return te::program::Run(te::metadata_server::kProgram,
                          {argv, static_cast<size_t>(argc)},
                          te::metadata_server::Run);
}
