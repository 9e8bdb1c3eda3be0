#include "te/metadata/server/server_options.h"

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/open_metadata_store.h"
#include "te/program/flag_checks.h"

namespace te::metadata_server {
namespace {

using program::BadFlag;
using program::IntFlag;
using program::SizeFlag;

absl::StatusOr<HostPort> ParseListen(const std::string& text) {
  absl::StatusOr<HostPort> listen = HostPort::Parse(text);
  if (!listen.ok()) return BadFlag("listen", listen.status().message());
  if (!listen->port.has_value()) {
    return BadFlag(
        "listen",
        absl::StrCat("\"", text,
                     "\" has no port; write host:port, with port 0 for "
                     "any that is free"));
  }
  return listen;
}

// A store for OpenMetadataStore; empty for memory. Not another metadata_server:
// two could stand behind each other.
absl::StatusOr<std::string> ParseBackend(const std::string& text) {
  if (text == "memory") return std::string();
  if (!absl::StartsWith(text, "redis://") &&
      !absl::StartsWith(text, "unix://")) {
    return BadFlag(
        "backend",
        "use memory, redis://[[user]:password@]host[:port][/database] "
        "or unix:///path");
  }
  const absl::Status known = DescribeMetadataStore(text).status();
  if (!known.ok()) return BadFlag("backend", known.message());
  return text;
}

absl::StatusOr<TlsFiles> ParseTls(const FlagValues& flags) {
  if (flags.tls_cert.empty() != flags.tls_key.empty()) {
    return BadFlag(flags.tls_cert.empty() ? "tls_cert" : "tls_key",
                   "is missing: certificate and key belong together");
  }
  if (flags.tls_cert.empty() && !flags.tls_client_ca.empty()) {
    return BadFlag("tls_client_ca", "needs --tls_cert and --tls_key too");
  }
  return TlsFiles{.ca_file = flags.tls_client_ca,
                  .cert_file = flags.tls_cert,
                  .key_file = flags.tls_key};
}

absl::StatusOr<AccessLog> ParseAccessLog(const std::string& text) {
  if (text == "none") return AccessLog::kNone;
  if (text == "errors") return AccessLog::kErrors;
  if (text == "all") return AccessLog::kAll;
  return BadFlag("access_log", absl::StrCat("\"", absl::CHexEscape(text),
                                            "\"; use none, errors or all"));
}

}  // namespace

absl::StatusOr<ServerOptions> ParseOptions(const FlagValues& flags) {
  ServerOptions options;
  TE_ASSIGN_OR_RETURN(options.listen, ParseListen(flags.listen));
  TE_ASSIGN_OR_RETURN(options.store, ParseBackend(flags.backend));
  TE_ASSIGN_OR_RETURN(options.tls, ParseTls(flags));
  TE_ASSIGN_OR_RETURN(options.max_keys,
                      IntFlag("max_keys", flags.max_keys, 1, 100'000'000));
  TE_ASSIGN_OR_RETURN(
      options.max_value_bytes,
      SizeFlag("max_value", flags.max_value, 1, MetadataStore::kMaxValueBytes));
  TE_ASSIGN_OR_RETURN(options.max_bytes,
                      SizeFlag("max_bytes", flags.max_bytes, 1,
                               std::numeric_limits<uint64_t>::max()));
  TE_ASSIGN_OR_RETURN(options.max_clients,
                      IntFlag("max_clients", flags.max_clients, 1, 1 << 20));
  TE_ASSIGN_OR_RETURN(options.max_watches,
                      IntFlag("max_watches", flags.max_watches, 1, 10'000'000));
  TE_ASSIGN_OR_RETURN(options.threads,
                      IntFlag("threads", flags.threads, 2, 4096));
  TE_ASSIGN_OR_RETURN(options.drain,
                      program::SecondsFlag("drain", flags.drain, 0, 3600));
  TE_ASSIGN_OR_RETURN(options.access_log, ParseAccessLog(flags.access_log));
  if (!flags.snapshot_file.empty() && !options.store.empty()) {
    return BadFlag("snapshot_file", "is for --backend=memory");
  }
  options.snapshot_file = flags.snapshot_file;
  return options;
}

}  // namespace te::metadata_server
