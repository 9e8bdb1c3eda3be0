#ifndef TE_METADATA_REDIS_CONNECTION_H_
#define TE_METADATA_REDIS_CONNECTION_H_

#include <stddef.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "hiredis/hiredis.h"
#include "te/base/clock.h"
#include "te/base/unique_fd.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_reader.h"

namespace te {

// A command and its arguments.
using RedisCommand = std::vector<absl::string_view>;

// One connection, logged in. The socket is ours, since hiredis cannot keep a
// deadline, and raises SIGPIPE. Thread-compatible.
//
// Errors of every call: UNAVAILABLE: the connection was lost;
// DEADLINE_EXCEEDED; CANCELLED; DATA_LOSS: what answers is no Redis server. The
// connection is of no use then.
class RedisConnection {
 public:
  // Errors name the address, never the password. UNAVAILABLE: not reachable;
  // UNAUTHENTICATED or PERMISSION_DENIED: the server does not let us in;
  // INVALID_ARGUMENT: no such database. `interrupt` is borrowed; as soon as it
  // can be read, this and later calls fail with CANCELLED instead of waiting.
  static absl::StatusOr<std::unique_ptr<RedisConnection>> Open(
      const RedisAddress& address, MonotonicTime deadline, int interrupt = -1);

  // Sends one command and waits for its reply, which may be of type
  // REDIS_REPLY_ERROR.
  absl::StatusOr<RedisReply> Call(absl::Span<const absl::string_view> command,
                                  MonotonicTime deadline);
  // The same for several, of one round trip. Those that get no reply get the
  // error.
  std::vector<absl::StatusOr<RedisReply>> CallMany(
      absl::Span<const RedisCommand> commands, MonotonicTime deadline);

  // For those who wait with poll: the halves of CallMany. TryReceive returns
  // null when no whole reply is there yet.
  absl::Status Send(absl::Span<const RedisCommand> commands,
                    MonotonicTime deadline);
  absl::StatusOr<RedisReply> TryReceive();
  int fd() const { return socket_.get(); }

  // False when the server has closed it while it was not in use.
  bool IsUsable() const;

 private:
  RedisConnection(UniqueFd socket, int interrupt);

  absl::Status LogIn(const RedisAddress& address, MonotonicTime deadline);
  absl::Status SendBytes(absl::string_view bytes, MonotonicTime deadline);
  absl::StatusOr<RedisReply> Receive(MonotonicTime deadline);

  const UniqueFd socket_;
  const int interrupt_;
  RedisReader reader_;
};

// The status of a reply of type REDIS_REPLY_ERROR.
absl::Status RedisErrorStatus(const redisReply& reply);

}  // namespace te

#endif  // TE_METADATA_REDIS_CONNECTION_H_
