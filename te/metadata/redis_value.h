// What a Redis server says of a value that te/metadata/redis_scripts.h has put
// there.

#ifndef TE_METADATA_REDIS_VALUE_H_
#define TE_METADATA_REDIS_VALUE_H_

#include <stdint.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hiredis/hiredis.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct RedisHead {
  uint64_t replaced = 0;
  uint64_t version = 0;
  // Part numbers are below it.
  uint32_t count = 0;

  // None for what te has not put there.
  static std::optional<RedisHead> Parse(absl::string_view text);

  friend bool operator==(const RedisHead&, const RedisHead&) = default;
};

// In 20 digits.
std::string RedisVersionText(uint64_t version);

// From the answer to HMGET of `head` and `p0`: the whole value, if it has no
// other parts. None: RedisGetScript knows.
absl::StatusOr<std::optional<StoredValue>> ReadRedisFirstPart(
    absl::string_view key, const redisReply& reply);

// From the answer of RedisGetScript, asked with these options.
absl::StatusOr<StoredValue> ReadRedisParts(absl::string_view key,
                                           const redisReply& reply,
                                           const GetOptions& options);

// The bytes of a reply that has them.
inline absl::string_view RedisText(const redisReply& reply) {
  return absl::string_view(reply.str, reply.len);
}

// DATA_LOSS: of others, and what te does not understand.
absl::Status RedisForeign(absl::string_view key);
absl::Status RedisUnexpectedReply(absl::string_view key);

}  // namespace te

#endif  // TE_METADATA_REDIS_VALUE_H_
