#include "te/metadata/redis_reader.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

// No reply to what we ask is longer: the parts of a value, or one page of
// keys. What sends more is no server of ours.
constexpr size_t kMaxReplyBytes = MetadataStore::kMaxValueBytes + (4 << 20);
constexpr int kMaxReplyElements = 4 * MetadataStore::kMaxParts;

// Those of hiredis, except that they make no room for more elements than a
// reply to us has, which a few bytes could ask for.
redisReplyObjectFunctions* Cautious(const redisReplyObjectFunctions& usual) {
  static const auto create_array = usual.createArray;
  static redisReplyObjectFunctions cautious = [&usual] {
    redisReplyObjectFunctions functions = usual;
    functions.createArray = [](const redisReadTask* task,
                               int elements) -> void* {
      if (elements > kMaxReplyElements) return nullptr;
      return create_array(task, elements);
    };
    return functions;
  }();
  return &cautious;
}

}  // namespace

RedisReader::RedisReader() : reader_(redisReaderCreate()) {
  reader_->fn = Cautious(*reader_->fn);
}

absl::Status RedisReader::Feed(absl::Span<const std::byte> bytes) {
  received_ += bytes.size();
  if (redisReaderFeed(reader_.get(),
                      reinterpret_cast<const char*>(bytes.data()),
                      bytes.size()) == REDIS_OK) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError("out of memory");
}

absl::StatusOr<RedisReply> RedisReader::Next() {
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
    return absl::DataLossError(absl::StrCat("no answer of a Redis server: ",
                                            absl::CHexEscape(reader_->errstr)));
  }
  if (reply != nullptr) {
    received_ = reader_->len - reader_->pos;
    return RedisReply(static_cast<redisReply*>(reply));
  }
  if (received_ <= kMaxReplyBytes) return RedisReply();
  return absl::DataLossError("a longer answer than was asked for");
}

}  // namespace te
