#ifndef TE_METADATA_REDIS_STORE_H_
#define TE_METADATA_REDIS_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"

namespace te {

struct RedisStoreOptions {
  // Calls beyond so many at once wait for their turn. At least 1.
  size_t max_connections = 8;
};

// A store in a Redis server, 6.0 or later. Each key is a string there, which
// holds the version and the value; "te/version" counts the versions. Changes
// are Lua scripts, so that comparing and setting are one step. See
// docs/metadata.md.
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

  absl::StatusOr<uint64_t> Put(absl::string_view key, absl::string_view value,
                               const PutOptions& options,
                               MonotonicTime deadline) override;
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  MonotonicTime deadline) override;
  absl::StatusOr<std::vector<std::string>> List(
      absl::string_view prefix, MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;

 private:
  using Words = absl::Span<const absl::string_view>;
  // Lua, and the name that the server gives it.
  struct Script {
    absl::string_view source;
    std::string sha;
  };
  // What a script answered: whether it changed anything, and the version after
  // that, or the one that it found.
  struct Outcome {
    bool changed = false;
    uint64_t version = 0;
  };

  RedisStore(const RedisAddress& address, const RedisStoreOptions& options);

  absl::Status Load(Script& script, RedisConnection& connection,
                    MonotonicTime deadline) const;
  absl::StatusOr<RedisReply> Call(absl::string_view key, Words command,
                                  MonotonicTime deadline);
  absl::StatusOr<Outcome> Run(const Script& script, absl::string_view key,
                              Words arguments, MonotonicTime deadline);
  static absl::StatusOr<Outcome> ReadOutcome(absl::string_view key,
                                             const redisReply& reply);
  absl::StatusOr<RedisReply> Exchange(Words command, MonotonicTime deadline);

  // Takes a connection that nobody uses, or makes one.
  absl::StatusOr<std::unique_ptr<RedisConnection>> Take(MonotonicTime deadline);
  absl::StatusOr<std::unique_ptr<RedisConnection>> Connect(
      MonotonicTime deadline);
  void DropIdle();
  void GiveBack(std::unique_ptr<RedisConnection> connection);

  const RedisAddress address_;
  const RedisStoreOptions options_;
  // Fixed once Create has returned.
  Script put_;
  Script renew_;
  Script remove_;

  Mutex mutex_;
  CondVar freed_;
  std::vector<std::unique_ptr<RedisConnection>> idle_ ABSL_GUARDED_BY(mutex_);
  size_t in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_STORE_H_
