#ifndef TE_METADATA_REDIS_ADDRESS_H_
#define TE_METADATA_REDIS_ADDRESS_H_

#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te {

// Where a Redis server is and how to log in:
//
//   redis://[[user]:password@]host[:port][/database]
//   unix://[[user]:password@]/path/of/socket[?db=database]
//
// User and password are percent-encoded (RFC 3986). Without a user the password
// is that of `requirepass`.
struct RedisAddress {
  static constexpr uint16_t kDefaultPort = 6379;

  // One of host and unix_path is empty.
  std::string host;
  uint16_t port = kDefaultPort;
  std::string unix_path;

  std::string user;
  std::string password;
  int database = 0;

  // INVALID_ARGUMENT says what is wrong, without the password; UNIMPLEMENTED
  // for rediss://, since the system's hiredis has no TLS.
  static absl::StatusOr<RedisAddress> Parse(absl::string_view uri);

  // As above, for people: without user and password.
  std::string ToString() const;

  friend bool operator==(const RedisAddress&, const RedisAddress&) = default;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_ADDRESS_H_
