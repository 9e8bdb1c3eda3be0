#include "te/metadata/open_metadata_store.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_store.h"

namespace te {

namespace {

using Address = std::variant<RedisAddress, GrpcAddress>;

absl::StatusOr<Address> ParseAddress(absl::string_view uri) {
  const size_t end = uri.find("://");
  // Nothing but the scheme is quoted: the rest may hold a password.
  const absl::string_view scheme =
      end == absl::string_view::npos ? "" : uri.substr(0, end);
  if (scheme == "redis" || scheme == "rediss" || scheme == "unix") {
    return RedisAddress::Parse(uri);
  }
  if (scheme == "grpc" || scheme == "grpcs") return GrpcAddress::Parse(uri);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown metadata server \"", absl::CHexEscape(scheme.substr(0, 100)),
      "\"; this engine knows: p2p, redis://host[:port], unix:///path, "
      "grpc://host:port, grpcs://host:port?ca=FILE"));
}

absl::StatusOr<std::unique_ptr<MetadataStore>> Open(
    const RedisAddress& address, MonotonicTime deadline,
    const OpenMetadataStoreOptions& options) {
  return RedisStore::Create(
      address, {.watches = {.max_watches = options.max_watches}}, deadline);
}

absl::StatusOr<std::unique_ptr<MetadataStore>> Open(
    const GrpcAddress& address, MonotonicTime deadline,
    const OpenMetadataStoreOptions& /*options*/) {
  return GrpcStore::Create(address, deadline);
}

std::vector<HostPort> Servers(const RedisAddress& address) {
  if (address.host.empty()) return {};
  return {{.host = address.host, .port = address.port}};
}

std::vector<HostPort> Servers(const GrpcAddress& address) {
  return address.servers;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMetadataStore(
    absl::string_view uri, MonotonicTime deadline,
    const OpenMetadataStoreOptions& options) {
  TE_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(uri));
  return std::visit(
      [&](const auto& address) { return Open(address, deadline, options); },
      parsed);
}

absl::StatusOr<std::string> DescribeMetadataStore(absl::string_view uri) {
  TE_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(uri));
  return std::visit([](const auto& address) { return address.ToString(); },
                    parsed);
}

absl::StatusOr<std::vector<HostPort>> MetadataServers(absl::string_view uri) {
  TE_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(uri));
  return std::visit([](const auto& address) { return Servers(address); },
                    parsed);
}

}  // namespace te
