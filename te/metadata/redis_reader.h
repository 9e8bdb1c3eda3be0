#ifndef TE_METADATA_REDIS_READER_H_
#define TE_METADATA_REDIS_READER_H_

#include <stddef.h>

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "hiredis/hiredis.h"

namespace te {

// What a Redis server answered.
struct RedisReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RedisReply = std::unique_ptr<redisReply, RedisReplyDeleter>;

// Makes replies of what comes from a server, whatever that is: hiredis knows
// the protocol, and this class keeps it from taking too much memory. After an
// error it is of no use. Thread-compatible.
class RedisReader {
 public:
  RedisReader();

  // RESOURCE_EXHAUSTED: out of memory.
  absl::Status Feed(absl::Span<const std::byte> bytes);

  // The next reply, or null when more of it must come first. DATA_LOSS: this is
  // no Redis server, or says more than it was asked for.
  absl::StatusOr<RedisReply> Next();

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };

  const std::unique_ptr<redisReader, ReaderDeleter> reader_;
  // Of the reply that is on its way.
  size_t received_ = 0;
};

}  // namespace te

#endif  // TE_METADATA_REDIS_READER_H_
