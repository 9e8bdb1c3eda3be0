// The Lua that runs in a Redis server, in one step each. KEYS[1] is the key of
// a MetadataStore, KEYS[2] that of the last version given.
//
// The key is a hash:
//
//   head  te1:REPLACED:VERSION:COUNT: the version when the key was last put
//         anew, the present one, and a bound that all part numbers are below
//   pN    the bytes of part N
//   vN    the version that put part N; stays when the part becomes empty, so
//         that readers hear of it
//
// Versions have 20 digits, so that comparing them as strings compares them:
// Lua's numbers are doubles. Anything else is answered with the error TEFOREIGN
// and left alone.

#ifndef TE_METADATA_REDIS_SCRIPTS_H_
#define TE_METADATA_REDIS_SCRIPTS_H_

#include <string>

namespace te {

// Those that change something answer {what happened, version}.
enum class RedisOutcome {
  // Not the expected version, but this one, or "0": there is no key.
  kUnchanged = 0,
  kDone = 1,
  // Done, but the server did not let the user publish it.
  kUntold = 2,
};

// Arguments: the expected version, or "any"; milliseconds of lease, or "0"; the
// channel of the key without the key; "1" to replace, or "0"; then the number
// and the bytes of each part.
std::string RedisPutScript();

// Arguments: version, milliseconds of lease.
std::string RedisRenewScript();

// Arguments: expected version, channel as above.
std::string RedisRemoveScript();

// Arguments: since, the first part, and how many bytes to read. Answers {head,
// next part, number, bytes, number, bytes...}, or nil when there is no key.
std::string RedisGetScript();

}  // namespace te

#endif  // TE_METADATA_REDIS_SCRIPTS_H_
