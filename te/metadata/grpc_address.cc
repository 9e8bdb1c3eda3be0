#include "te/metadata/grpc_address.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "invalid address of a metadata server: ", what,
      "; expected grpc://host:port[,host:port...] or "
      "grpcs://host:port[,...]?ca=FILE[&cert=FILE&key=FILE][&name=HOST]"));
}

absl::StatusOr<std::vector<HostPort>> ParseServers(absl::string_view text) {
  // Not quoted: there may be a password before it.
  if (absl::StrContains(text, '@')) return Invalid("it takes no user");
  std::vector<HostPort> servers;
  for (const absl::string_view one : absl::StrSplit(text, ',')) {
    absl::StatusOr<HostPort> server = HostPort::Parse(one);
    if (!server.ok() || server->port.value_or(0) == 0) {
      return Invalid(absl::StrCat("\"", absl::CHexEscape(one.substr(0, 300)),
                                  "\" is not host:port"));
    }
    servers.push_back(*std::move(server));
  }
  return servers;
}

// Where the value of that parameter belongs; null for an unknown one.
std::string* Field(GrpcAddress& address, absl::string_view parameter) {
  if (parameter == "ca") return &address.ca_file;
  if (parameter == "cert") return &address.cert_file;
  if (parameter == "key") return &address.key_file;
  if (parameter == "name") return &address.tls_name;
  return nullptr;
}

absl::Status ParseParameters(absl::string_view text, GrpcAddress& address) {
  for (const absl::string_view one : absl::StrSplit(text, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(one, absl::MaxSplits('=', 1));
    std::string* const field = Field(address, parts.first);
    if (field == nullptr || !field->empty() || parts.second.empty() ||
        parts.second.find('\0') != absl::string_view::npos) {
      return Invalid(absl::StrCat(
          "the parameter \"", absl::CHexEscape(parts.first.substr(0, 300)),
          "\" is unknown, empty, malformed, or there twice"));
    }
    *field = std::string(parts.second);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GrpcAddress> GrpcAddress::Parse(absl::string_view uri) {
  GrpcAddress address;
  address.tls = absl::ConsumePrefix(&uri, "grpcs://");
  if (!address.tls && !absl::ConsumePrefix(&uri, "grpc://")) {
    return Invalid("it does not begin with grpc:// or grpcs://");
  }
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(uri, absl::MaxSplits('?', 1));
  TE_ASSIGN_OR_RETURN(address.servers, ParseServers(parts.first));
  if (parts.first.size() != uri.size()) {
    if (!address.tls) return Invalid("only grpcs:// takes parameters");
    TE_RETURN_IF_ERROR(ParseParameters(parts.second, address));
  }
  if (address.tls && address.ca_file.empty()) return Invalid("ca is missing");
  if (address.cert_file.empty() != address.key_file.empty()) {
    return Invalid("cert and key belong together");
  }
  return address;
}

std::string GrpcAddress::ToString() const {
  std::string text = absl::StrCat(
      tls ? "grpcs://" : "grpc://",
      absl::StrJoin(servers, ",", [](std::string* out, const HostPort& server) {
        absl::StrAppend(out, server.ToString());
      }));
  if (tls) absl::StrAppend(&text, "?ca=", ca_file);
  if (!cert_file.empty()) {
    absl::StrAppend(&text, "&cert=", cert_file, "&key=", key_file);
  }
  if (!tls_name.empty()) absl::StrAppend(&text, "&name=", tls_name);
  return text;
}

}  // namespace te
