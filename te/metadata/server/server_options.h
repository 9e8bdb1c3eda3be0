#ifndef TE_METADATA_SERVER_SERVER_OPTIONS_H_
#define TE_METADATA_SERVER_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/grpc/tls.h"

namespace te::metadata_server {

// As on the command line.
struct FlagValues {
  std::string listen = "127.0.0.1:8090";
  std::string backend = "memory";
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  int64_t max_keys = 100'000;
  std::string max_value = "16M";
  std::string max_bytes = "1G";
  int64_t max_clients = 4096;
  int64_t max_watches = 65536;
  int64_t threads = 64;
  double drain = 10;
  std::string access_log = "none";
  std::string snapshot_file;
};

enum class AccessLog { kNone, kErrors, kAll };

struct ServerOptions {
  HostPort listen;  // with a port
  // Empty: in memory. Otherwise for OpenMetadataStore.
  std::string store;
  // Without certificate: no TLS.
  TlsFiles tls;
  uint64_t max_keys = 0;
  uint64_t max_value_bytes = 0;
  uint64_t max_bytes = 0;
  int max_clients = 0;
  uint64_t max_watches = 0;
  int threads = 0;
  Duration drain = Duration::zero();
  AccessLog access_log = AccessLog::kNone;
  // Where the memory's contents are kept; empty: nowhere.
  std::string snapshot_file;
};

// INVALID_ARGUMENT names the flag.
absl::StatusOr<ServerOptions> ParseOptions(const FlagValues& flags);

}  // namespace te::metadata_server

#endif  // TE_METADATA_SERVER_SERVER_OPTIONS_H_
