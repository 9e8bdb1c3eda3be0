#include "te/metadata/redis_value.h"

#include <stddef.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

constexpr size_t kVersionDigits = 20;
constexpr size_t kCountDigits = 4;

// Takes a number of `digits` off the front of `text`.
template <typename T>
bool ConsumeNumber(absl::string_view& text, size_t digits, T& number) {
  const absl::string_view front = text.substr(0, digits);
  for (const char c : front) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  text.remove_prefix(front.size());
  return front.size() == digits && absl::SimpleAtoi(front, &number);
}

absl::StatusOr<RedisHead> ReadHead(absl::string_view key,
                                   const redisReply& reply) {
  if (reply.type != REDIS_REPLY_STRING) return RedisUnexpectedReply(key);
  const std::optional<RedisHead> head = RedisHead::Parse(RedisText(reply));
  if (!head.has_value()) return RedisForeign(key);
  return *head;
}

}  // namespace

std::optional<RedisHead> RedisHead::Parse(absl::string_view text) {
  RedisHead head;
  if (!absl::ConsumePrefix(&text, "te1:") ||
      !ConsumeNumber(text, kVersionDigits, head.replaced) ||
      !absl::ConsumePrefix(&text, ":") ||
      !ConsumeNumber(text, kVersionDigits, head.version) ||
      !absl::ConsumePrefix(&text, ":") || text.empty() ||
      text.size() > kCountDigits ||
      !ConsumeNumber(text, text.size(), head.count) ||
      head.replaced == MetadataStore::kAbsent || head.replaced > head.version ||
      head.count > MetadataStore::kMaxParts) {
    return std::nullopt;
  }
  return head;
}

std::string RedisVersionText(uint64_t version) {
  return absl::StrFormat("%020d", version);
}

absl::StatusOr<std::optional<StoredValue>> ReadRedisFirstPart(
    absl::string_view key, const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) {
    return RedisUnexpectedReply(key);
  }
  if (reply.element[0]->type == REDIS_REPLY_NIL) return std::nullopt;
  TE_ASSIGN_OR_RETURN(const RedisHead head, ReadHead(key, *reply.element[0]));
  if (head.count > 1) return std::nullopt;
  StoredValue value = {.version = head.version};
  const redisReply& part = *reply.element[1];
  if (part.type == REDIS_REPLY_STRING && part.len > 0) {
    value.parts.push_back({.number = 0, .bytes = std::string(RedisText(part))});
  }
  return value;
}

absl::StatusOr<StoredValue> ReadRedisParts(absl::string_view key,
                                           const redisReply& reply,
                                           const GetOptions& options) {
  if (reply.type == REDIS_REPLY_NIL) return KeyNotFound(key);
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements < 2 ||
      reply.elements % 2 != 0 ||
      reply.element[1]->type != REDIS_REPLY_INTEGER) {
    return RedisUnexpectedReply(key);
  }
  TE_ASSIGN_OR_RETURN(const RedisHead head, ReadHead(key, *reply.element[0]));
  StoredValue value = {
      .version = head.version,
      .whole = options.since < head.replaced || options.since > head.version};
  value.parts.reserve(reply.elements / 2 - 1);
  int64_t least = options.first_part;
  for (size_t i = 2; i < reply.elements; i += 2) {
    const redisReply& number = *reply.element[i];
    const redisReply& bytes = *reply.element[i + 1];
    if (number.type != REDIS_REPLY_INTEGER || number.integer < least ||
        number.integer >= head.count || bytes.type != REDIS_REPLY_STRING) {
      return RedisUnexpectedReply(key);
    }
    least = number.integer + 1;
    value.parts.push_back({.number = static_cast<uint32_t>(number.integer),
                           .bytes = std::string(RedisText(bytes))});
  }
  const int64_t next = reply.element[1]->integer;
  // A reader who goes on there must come to an end.
  if (next != 0 &&
      (next < least || next >= head.count || value.parts.empty())) {
    return RedisUnexpectedReply(key);
  }
  value.next_part = static_cast<uint32_t>(next);
  return value;
}

absl::Status RedisForeign(absl::string_view key) {
  return absl::DataLossError(absl::StrCat(
      DescribeKey(key),
      " holds something that te has not put there; remove the key, or use "
      "another database"));
}

absl::Status RedisUnexpectedReply(absl::string_view key) {
  return absl::DataLossError(absl::StrCat(
      DescribeKey(key), ": the Redis server answered in an unknown way"));
}

}  // namespace te
