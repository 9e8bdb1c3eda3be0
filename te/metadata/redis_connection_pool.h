#ifndef TE_METADATA_REDIS_CONNECTION_POOL_H_
#define TE_METADATA_REDIS_CONNECTION_POOL_H_

#include <stddef.h>

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"

namespace te {

// Connections to one server, for calls of many threads. Makes them when they
// are needed, and keeps them. Thread-safe; no call may be under way when it is
// destroyed.
//
// A call that finds the server gone tries again until its deadline, as long as
// nothing was sent; after that it fails with UNAVAILABLE.
class RedisConnectionPool {
 public:
  // Calls beyond `max_connections` at once, which is at least 1, wait for their
  // turn.
  RedisConnectionPool(const RedisAddress& address, size_t max_connections)
      : address_(address), max_connections_(max_connections) {}

  // As those of RedisConnection, whose errors it gives the address.
  std::vector<absl::StatusOr<RedisReply>> CallMany(
      absl::Span<const RedisCommand> commands, MonotonicTime deadline);

  // Takes a connection in.
  void Add(std::unique_ptr<RedisConnection> connection);

 private:
  // Takes a connection that nobody uses, or makes one.
  absl::StatusOr<std::unique_ptr<RedisConnection>> Take(MonotonicTime deadline);
  absl::StatusOr<std::unique_ptr<RedisConnection>> Connect(
      MonotonicTime deadline);
  void DropIdle();
  void GiveBack(std::unique_ptr<RedisConnection> connection);

  const RedisAddress address_;
  const size_t max_connections_;

  Mutex mutex_;
  CondVar freed_;
  std::vector<std::unique_ptr<RedisConnection>> idle_ ABSL_GUARDED_BY(mutex_);
  size_t in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_CONNECTION_POOL_H_
