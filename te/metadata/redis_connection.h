#ifndef TE_METADATA_REDIS_CONNECTION_H_
#define TE_METADATA_REDIS_CONNECTION_H_

#include <stddef.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "hiredis/hiredis.h"
#include "te/base/clock.h"
#include "te/base/unique_fd.h"
#include "te/metadata/redis_address.h"

namespace te {

// What a Redis server answered; never null.
struct RedisReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RedisReply = std::unique_ptr<redisReply, RedisReplyDeleter>;

// One connection, logged in. hiredis writes and reads the protocol; the socket
// is ours, since hiredis cannot keep a deadline, and raises SIGPIPE.
// Thread-compatible.
class RedisConnection {
 public:
  // Errors name the address, never the password. UNAVAILABLE: not reachable;
  // UNAUTHENTICATED or PERMISSION_DENIED: the server does not let us in;
  // INVALID_ARGUMENT: no such database.
  static absl::StatusOr<std::unique_ptr<RedisConnection>> Open(
      const RedisAddress& address, MonotonicTime deadline);

  // Sends one command and waits for its reply, which may be of type
  // REDIS_REPLY_ERROR. After an error the connection is of no use. UNAVAILABLE:
  // it was lost; DEADLINE_EXCEEDED; DATA_LOSS: what answers is no Redis server.
  absl::StatusOr<RedisReply> Call(absl::Span<const absl::string_view> command,
                                  MonotonicTime deadline);

  // False when the server has closed it while it was not in use.
  bool IsUsable() const;

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };

  explicit RedisConnection(UniqueFd socket);

  absl::Status LogIn(const RedisAddress& address, MonotonicTime deadline);
  absl::Status Send(absl::Span<const absl::string_view> command,
                    MonotonicTime deadline);
  absl::StatusOr<RedisReply> Receive(MonotonicTime deadline);

  const UniqueFd socket_;
  const std::unique_ptr<redisReader, ReaderDeleter> reader_;
};

// The status of a reply of type REDIS_REPLY_ERROR.
absl::Status RedisErrorStatus(const redisReply& reply);

}  // namespace te

#endif  // TE_METADATA_REDIS_CONNECTION_H_
