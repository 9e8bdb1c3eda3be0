#include "te/metadata/redis_address.h"

#include <stddef.h>
#include <sys/un.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

// Of redis.conf; more cannot be configured.
constexpr int kMaxDatabase = 2147483646;

// Never quotes the address: any part of it may be a misplaced password.
absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "invalid Redis address: ", what,
      "; expected redis://[[user]:password@]host[:port][/database] or "
      "unix:///path[?db=database], with '/', ':' and '@' in a password written "
      "as %2F, %3A and %40"));
}

absl::StatusOr<std::string> Decode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const absl::string_view digits = text.substr(i + 1, 2);
    if (digits.size() < 2 || !absl::ascii_isxdigit(digits[0]) ||
        !absl::ascii_isxdigit(digits[1])) {
      return Invalid("'%' must be followed by two hexadecimal digits");
    }
    decoded += absl::HexStringToBytes(digits);
    i += 2;
  }
  return decoded;
}

// Takes "user:password@" off the front.
absl::Status TakeLogin(absl::string_view& rest, RedisAddress& address) {
  const size_t path = rest.find('/');
  const size_t end = rest.substr(0, path).rfind('@');
  if (end == absl::string_view::npos) return absl::OkStatus();
  const absl::string_view login = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  const size_t colon = login.find(':');
  if (colon == absl::string_view::npos) {
    return Invalid("a user without a password");
  }
  TE_ASSIGN_OR_RETURN(address.user, Decode(login.substr(0, colon)));
  TE_ASSIGN_OR_RETURN(address.password, Decode(login.substr(colon + 1)));
  if (address.password.empty()) return Invalid("the password is empty");
  return absl::OkStatus();
}

absl::StatusOr<int> ParseDatabase(absl::string_view text) {
  int database = 0;
  if (!absl::SimpleAtoi(text, &database) || database < 0 ||
      database > kMaxDatabase) {
    return Invalid("what follows the server is no database number");
  }
  return database;
}

absl::Status ParseTcp(absl::string_view rest, RedisAddress& address) {
  const size_t slash = rest.find('/');
  if (slash != absl::string_view::npos && slash + 1 < rest.size()) {
    TE_ASSIGN_OR_RETURN(address.database,
                        ParseDatabase(rest.substr(slash + 1)));
  }
  const absl::StatusOr<HostPort> server =
      HostPort::Parse(rest.substr(0, slash));
  if (!server.ok()) return Invalid("malformed host or port");
  if (server->port == 0) return Invalid("port 0");
  address.host = server->host;
  address.port = server->port.value_or(RedisAddress::kDefaultPort);
  return absl::OkStatus();
}

absl::Status ParseUnix(absl::string_view rest, RedisAddress& address) {
  const size_t query = rest.find('?');
  if (query != absl::string_view::npos) {
    absl::string_view database = rest.substr(query + 1);
    if (!absl::ConsumePrefix(&database, "db=")) {
      return Invalid("only ?db= may follow the path");
    }
    TE_ASSIGN_OR_RETURN(address.database, ParseDatabase(database));
  }
  address.unix_path = std::string(rest.substr(0, query));
  if (address.unix_path.empty() || address.unix_path[0] != '/' ||
      address.unix_path.find('\0') != std::string::npos) {
    return Invalid("the path of the socket must be absolute");
  }
  constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
  if (address.unix_path.size() > kMaxPath) {
    return Invalid(absl::StrCat("the path of the socket has ",
                                address.unix_path.size(),
                                " bytes; the system allows ", kMaxPath));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RedisAddress> RedisAddress::Parse(absl::string_view uri) {
  if (absl::ConsumePrefix(&uri, "rediss://")) {
    return absl::UnimplementedError(
        "rediss:// needs TLS, which the system's hiredis 0.14 has not; use "
        "redis:// inside a protected network, or a TLS proxy such as stunnel");
  }
  RedisAddress address;
  const bool is_unix = absl::ConsumePrefix(&uri, "unix://");
  if (!is_unix && !absl::ConsumePrefix(&uri, "redis://")) {
    return Invalid("it begins neither with redis:// nor with unix://");
  }
  TE_RETURN_IF_ERROR(TakeLogin(uri, address));
  TE_RETURN_IF_ERROR(is_unix ? ParseUnix(uri, address)
                             : ParseTcp(uri, address));
  return address;
}

std::string RedisAddress::ToString() const {
  if (!unix_path.empty()) {
    return absl::StrCat("unix://", unix_path,
                        database == 0 ? "" : absl::StrCat("?db=", database));
  }
  return absl::StrCat("redis://", JoinHostPort(host, port),
                      database == 0 ? "" : absl::StrCat("/", database));
}

}  // namespace te
