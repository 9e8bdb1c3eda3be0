#include "te/metadata/redis_connection_pool.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"

namespace te {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(5);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

}  // namespace

std::vector<absl::StatusOr<RedisReply>> RedisConnectionPool::CallMany(
    absl::Span<const RedisCommand> commands, MonotonicTime deadline) {
  std::vector<absl::StatusOr<RedisReply>> replies;
  absl::StatusOr<std::unique_ptr<RedisConnection>> connection = Take(deadline);
  if (!connection.ok()) {
    while (replies.size() < commands.size()) {
      replies.emplace_back(connection.status());
    }
    return replies;
  }
  replies = (*connection)->CallMany(commands, deadline);
  if (!replies.empty() && !replies.back().ok()) {
    connection->reset();
    // The others lead to the same server: each would cost a call to find out.
    DropIdle();
  }
  GiveBack(*std::move(connection));
  for (absl::StatusOr<RedisReply>& reply : replies) {
    if (reply.ok()) continue;
    reply = absl::Status(
        reply.status().code(),
        absl::StrCat(address_.ToString(), ": ", reply.status().message()));
  }
  return replies;
}

void RedisConnectionPool::Add(std::unique_ptr<RedisConnection> connection) {
  MutexLock lock(mutex_);
  idle_.push_back(std::move(connection));
}

absl::StatusOr<std::unique_ptr<RedisConnection>> RedisConnectionPool::Take(
    MonotonicTime deadline) {
  {
    MutexLock lock(mutex_);
    while (in_use_ == max_connections_) {
      if (!freed_.WaitUntil(mutex_, deadline) && in_use_ == max_connections_) {
        return absl::DeadlineExceededError(
            absl::StrCat(address_.ToString(), ": all ", max_connections_,
                         " connections were in use; raise max_connections"));
      }
    }
    ++in_use_;
    while (!idle_.empty()) {
      std::unique_ptr<RedisConnection> connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection->IsUsable()) return connection;
    }
  }
  absl::StatusOr<std::unique_ptr<RedisConnection>> connection =
      Connect(deadline);
  if (!connection.ok()) GiveBack(nullptr);
  return connection;
}

// Tries until the deadline while the server is away.
absl::StatusOr<std::unique_ptr<RedisConnection>> RedisConnectionPool::Connect(
    MonotonicTime deadline) {
  Duration pause = kFirstPause;
  for (;;) {
    absl::StatusOr<std::unique_ptr<RedisConnection>> connection =
        RedisConnection::Open(address_, deadline);
    const MonotonicTime now = RealClock().Now();
    if (!absl::IsUnavailable(connection.status()) ||
        TimeUntil(deadline, now) <= pause) {
      return connection;
    }
    std::this_thread::sleep_until(DeadlineAfter(now, pause));
    pause = std::min(2 * pause, kLongestPause);
  }
}

void RedisConnectionPool::DropIdle() {
  MutexLock lock(mutex_);
  idle_.clear();
}

// `connection` is null if it is of no more use.
void RedisConnectionPool::GiveBack(
    std::unique_ptr<RedisConnection> connection) {
  MutexLock lock(mutex_);
  --in_use_;
  if (connection != nullptr) idle_.push_back(std::move(connection));
  freed_.NotifyOne();
}

}  // namespace te
