#ifndef TE_METADATA_REDIS_STORE_H_
#define TE_METADATA_REDIS_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_connection_pool.h"
#include "te/metadata/redis_subscriber.h"
#include "te/metadata/value_part.h"

namespace te {

struct RedisStoreOptions {
  // Calls beyond so many at once wait for their turn. At least 1. Watches have
  // one more connection.
  size_t max_connections = 8;
  RedisSubscriberOptions watches;
};

// A store in a Redis server, 6.0 or later. Each key is a hash there, whose
// fields redis_scripts.h describes; "te/version" is the last version given.
// Changes are Lua scripts, so that comparing and setting are one step, and so
// is publishing them for the watches. See docs/metadata.md.
//
// A call that finds the server gone tries again until its deadline, as long as
// nothing was sent; after that it fails with UNAVAILABLE.
class RedisStore final : public MetadataStore {
 public:
  // Connects once, so that a wrong address or password shows at the start.
  // Errors are those of RedisConnection::Open.
  static absl::StatusOr<std::unique_ptr<RedisStore>> Create(
      const RedisAddress& address, const RedisStoreOptions& options,
      MonotonicTime deadline);
  // No call may be under way.
  ~RedisStore() override = default;

  absl::StatusOr<uint64_t> Put(absl::string_view key,
                               absl::Span<const ValuePartView> parts,
                               const PutOptions& options,
                               MonotonicTime deadline) override;
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  const GetOptions& options,
                                  MonotonicTime deadline) override;
  // A few dozen keys a round trip. When the connection is lost the keys that
  // are left get that error.
  std::vector<absl::StatusOr<StoredValue>> GetMany(
      absl::Span<const std::string> keys, const GetOptions& options,
      MonotonicTime deadline) override;
  // Looks at every key of the database for each page.
  absl::StatusOr<KeyList> List(absl::string_view prefix,
                               absl::string_view after,
                               MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) override;

 private:
  using Words = absl::Span<const absl::string_view>;
  using Values = std::vector<absl::StatusOr<StoredValue>>;
  // Takes the reply to the command of this place.
  using TakeReply =
      absl::FunctionRef<void(size_t place, absl::StatusOr<RedisReply> reply)>;
  // Lua, and the name that the server gives it.
  struct Script {
    std::string source;
    std::string sha;
  };
  // What a script answered: whether it changed anything, and the version after
  // that, or the one that it found.
  struct Outcome {
    bool changed = false;
    uint64_t version = 0;
  };

  RedisStore(const RedisAddress& address, const RedisStoreOptions& options,
             std::unique_ptr<RedisSubscriber> subscriber);

  absl::Status Load(Script& script, RedisConnection& connection,
                    MonotonicTime deadline) const;

  Values Fetch(Words keys, const GetOptions& options, MonotonicTime deadline);
  std::vector<size_t> FetchFirstParts(Words keys,
                                      absl::Span<const size_t> places,
                                      MonotonicTime deadline, Values& values);
  void FetchParts(Words keys, absl::Span<const size_t> places,
                  const GetOptions& options, MonotonicTime deadline,
                  Values& values);

  absl::StatusOr<Outcome> Change(const Script& script, absl::string_view key,
                                 Words arguments, MonotonicTime deadline);
  absl::StatusOr<Outcome> ReadOutcome(absl::string_view key,
                                      const redisReply& reply) const;
  void Run(const Script& script, Words keys, Words arguments, size_t at_once,
           MonotonicTime deadline, TakeReply take);
  void Call(Words keys, absl::Span<const RedisCommand> commands, size_t at_once,
            MonotonicTime deadline, TakeReply take);

  const RedisAddress address_;
  const std::string channel_prefix_;
  // Fixed once Create has returned.
  Script put_;
  Script renew_;
  Script remove_;
  Script get_;

  RedisConnectionPool pool_;
  const std::unique_ptr<RedisSubscriber> subscriber_;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_STORE_H_
