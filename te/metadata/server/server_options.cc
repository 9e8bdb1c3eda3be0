#include "te/metadata/server/server_options.h"

#include <chrono>
#include <cstdint>
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
#include "te/program/size_text.h"

namespace te::metadata_server {
namespace {

absl::Status Bad(absl::string_view flag, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", why));
}

absl::Status CheckRange(absl::string_view flag, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Bad(flag, absl::StrCat(value, " must be from ", low, " to ", high));
}

absl::StatusOr<HostPort> ParseListen(const std::string& text) {
  absl::StatusOr<HostPort> listen = HostPort::Parse(text);
  if (!listen.ok()) return Bad("listen", listen.status().message());
  if (!listen->port.has_value()) {
    return Bad("listen",
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
    return Bad("backend",
               "use memory, redis://[[user]:password@]host[:port][/database] "
               "or unix:///path");
  }
  const absl::Status known = DescribeMetadataStore(text).status();
  if (!known.ok()) return Bad("backend", known.message());
  return text;
}

absl::StatusOr<TlsFiles> ParseTls(const FlagValues& flags) {
  if (flags.tls_cert.empty() != flags.tls_key.empty()) {
    return Bad(flags.tls_cert.empty() ? "tls_cert" : "tls_key",
               "is missing: certificate and key belong together");
  }
  if (flags.tls_cert.empty() && !flags.tls_client_ca.empty()) {
    return Bad("tls_client_ca", "needs --tls_cert and --tls_key too");
  }
  return TlsFiles{.ca_file = flags.tls_client_ca,
                  .cert_file = flags.tls_cert,
                  .key_file = flags.tls_key};
}

absl::StatusOr<uint64_t> ParseMaxValue(const std::string& text) {
  const absl::StatusOr<uint64_t> bytes = program::ParseSize(text);
  if (!bytes.ok()) return Bad("max_value", bytes.status().message());
  if (*bytes >= 1 && *bytes <= MetadataStore::kMaxValueBytes) return bytes;
  return Bad("max_value",
             absl::StrCat(text, " must be from 1 byte to ",
                          program::FormatSize(MetadataStore::kMaxValueBytes)));
}

absl::StatusOr<Duration> ParseDrain(double seconds) {
  // Written so that NaN is refused too.
  if (!(seconds >= 0 && seconds <= 3600)) {
    return Bad("drain", absl::StrCat(seconds, " must be from 0 to 3600"));
  }
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

absl::StatusOr<AccessLog> ParseAccessLog(const std::string& text) {
  if (text == "none") return AccessLog::kNone;
  if (text == "errors") return AccessLog::kErrors;
  if (text == "all") return AccessLog::kAll;
  return Bad("access_log", absl::StrCat("\"", absl::CHexEscape(text),
                                        "\"; use none, errors or all"));
}

}  // namespace

absl::StatusOr<ServerOptions> ParseOptions(const FlagValues& flags) {
  ServerOptions options;
  TE_ASSIGN_OR_RETURN(options.listen, ParseListen(flags.listen));
  TE_ASSIGN_OR_RETURN(options.store, ParseBackend(flags.backend));
  TE_ASSIGN_OR_RETURN(options.tls, ParseTls(flags));
  TE_RETURN_IF_ERROR(CheckRange("max_keys", flags.max_keys, 1, 100'000'000));
  options.max_keys = static_cast<uint64_t>(flags.max_keys);
  TE_ASSIGN_OR_RETURN(options.max_value_bytes, ParseMaxValue(flags.max_value));
  const absl::StatusOr<uint64_t> bytes = program::ParseSize(flags.max_bytes);
  if (!bytes.ok()) return Bad("max_bytes", bytes.status().message());
  if (*bytes == 0) return Bad("max_bytes", "0 would hold nothing");
  options.max_bytes = *bytes;
  TE_RETURN_IF_ERROR(CheckRange("max_clients", flags.max_clients, 1, 1 << 20));
  options.max_clients = static_cast<int>(flags.max_clients);
  TE_RETURN_IF_ERROR(
      CheckRange("max_watches", flags.max_watches, 1, 10'000'000));
  options.max_watches = static_cast<uint64_t>(flags.max_watches);
  TE_RETURN_IF_ERROR(CheckRange("threads", flags.threads, 2, 4096));
  options.threads = static_cast<int>(flags.threads);
  TE_ASSIGN_OR_RETURN(options.drain, ParseDrain(flags.drain));
  TE_ASSIGN_OR_RETURN(options.access_log, ParseAccessLog(flags.access_log));
  if (!flags.snapshot_file.empty() && !options.store.empty()) {
    return Bad("snapshot_file", "is for --backend=memory");
  }
  options.snapshot_file = flags.snapshot_file;
  return options;
}

}  // namespace te::metadata_server
