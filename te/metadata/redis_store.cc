#include "te/metadata/redis_store.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

// What stands under a key: "te1:", the version in kVersionDigits, ":", value.
constexpr absl::string_view kMagic = "te1:";
constexpr size_t kVersionDigits = 20;
constexpr size_t kHeaderBytes = kMagic.size() + kVersionDigits + 1;

constexpr absl::string_view kCounterKey = "te/version";
constexpr absl::string_view kAnyVersion = "any";

// Of a script: the present version, "0" where there is none. Versions are
// strings of one length, since Lua's numbers are doubles.
#define TE_LUA_PRESENT                                               \
  "local head = redis.call('GETRANGE', KEYS[1], 0, 24) "             \
  "local present = '0' "                                             \
  "if head ~= '' then "                                              \
  "  present = string.match(head, '^te1:(%d+):$') "                  \
  "  if not present then return redis.error_reply('TEFOREIGN') end " \
  "end "                                                             \
  "if ARGV[1] ~= 'any' and ARGV[1] ~= present then "                 \
  "  return {0, present} "                                           \
  "end "

// Arguments: expected version, milliseconds of lease, value.
constexpr absl::string_view kPut = TE_LUA_PRESENT
    "local next = string.format('%020.0f', redis.call('INCR', KEYS[2])) "
    "local value = 'te1:' .. next .. ':' .. ARGV[3] "
    "if ARGV[2] == '0' then redis.call('SET', KEYS[1], value) "
    "else redis.call('SET', KEYS[1], value, 'PX', ARGV[2]) end "
    "return {1, next}";

// Arguments: version, milliseconds of lease.
constexpr absl::string_view kRenew = TE_LUA_PRESENT
    "if ARGV[2] == '0' then redis.call('PERSIST', KEYS[1]) "
    "else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
    "return {1, present}";

// Arguments: expected version.
constexpr absl::string_view kRemove = TE_LUA_PRESENT
    "if present == '0' then return {0, present} end "
    "redis.call('DEL', KEYS[1]) "
    "return {1, present}";

#undef TE_LUA_PRESENT

constexpr Duration kFirstPause = std::chrono::milliseconds(5);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

std::string VersionText(std::optional<uint64_t> version) {
  if (!version.has_value()) return std::string(kAnyVersion);
  if (*version == MetadataStore::kAbsent) return "0";
  return absl::StrFormat("%020d", *version);
}

std::string LeaseText(Duration lease) {
  return absl::StrCat(LeaseMilliseconds(lease));
}

absl::string_view Text(const redisReply& reply) {
  return absl::string_view(reply.str, reply.len);
}

absl::Status Foreign(absl::string_view key) {
  return absl::DataLossError(absl::StrCat(
      DescribeKey(key),
      " holds something that te has not put there; remove the key, or use "
      "another database"));
}

absl::Status UnexpectedReply(absl::string_view key) {
  return absl::DataLossError(absl::StrCat(
      DescribeKey(key), ": the Redis server answered in an unknown way"));
}

absl::StatusOr<StoredValue> ReadStored(absl::string_view key,
                                       absl::string_view bytes) {
  StoredValue stored;
  if (bytes.size() < kHeaderBytes || !absl::StartsWith(bytes, kMagic) ||
      bytes[kHeaderBytes - 1] != ':' ||
      !absl::SimpleAtoi(bytes.substr(kMagic.size(), kVersionDigits),
                        &stored.version) ||
      stored.version == MetadataStore::kAbsent) {
    return Foreign(key);
  }
  stored.value = std::string(bytes.substr(kHeaderBytes));
  return stored;
}

// The pattern of SCAN that matches what begins with `prefix`.
std::string PatternOf(absl::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (absl::StrContains("*?[]\\^", absl::string_view(&c, 1))) pattern += '\\';
    pattern += c;
  }
  return pattern + '*';
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisStore>> RedisStore::Create(
    const RedisAddress& address, const RedisStoreOptions& options,
    MonotonicTime deadline) {
  if (options.max_connections == 0) {
    return absl::InvalidArgumentError("max_connections must be at least 1");
  }
  TE_ASSIGN_OR_RETURN(std::unique_ptr<RedisConnection> connection,
                      RedisConnection::Open(address, deadline));
  std::unique_ptr<RedisStore> store(new RedisStore(address, options));
  for (Script* script : {&store->put_, &store->renew_, &store->remove_}) {
    TE_RETURN_IF_ERROR(store->Load(*script, *connection, deadline));
  }
  MutexLock lock(store->mutex_);
  store->idle_.push_back(std::move(connection));
  return store;
}

RedisStore::RedisStore(const RedisAddress& address,
                       const RedisStoreOptions& options)
    : address_(address), options_(options) {
  put_.source = kPut;
  renew_.source = kRenew;
  remove_.source = kRemove;
}

absl::Status RedisStore::Load(Script& script, RedisConnection& connection,
                              MonotonicTime deadline) const {
  TE_ASSIGN_OR_RETURN(
      const RedisReply reply,
      connection.Call({"SCRIPT", "LOAD", script.source}, deadline));
  if (reply->type == REDIS_REPLY_ERROR) return RedisErrorStatus(*reply);
  if (reply->type != REDIS_REPLY_STRING) {
    return absl::DataLossError(absl::StrCat(
        address_.ToString(), " did not take a script; is it Redis?"));
  }
  script.sha = std::string(Text(*reply));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> RedisStore::Put(absl::string_view key,
                                         absl::string_view value,
                                         const PutOptions& options,
                                         MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateValue(key, value));
  TE_RETURN_IF_ERROR(ValidateLease(key, options.lease));
  TE_ASSIGN_OR_RETURN(const Outcome outcome,
                      Run(put_, key,
                          {VersionText(options.expected_version),
                           LeaseText(options.lease), value},
                          deadline));
  if (outcome.changed) return outcome.version;
  return VersionMismatch(key, outcome.version, *options.expected_version);
}

absl::Status RedisStore::Renew(absl::string_view key, uint64_t version,
                               Duration lease, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateLease(key, lease));
  TE_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Run(renew_, key, {VersionText(version), LeaseText(lease)}, deadline));
  if (outcome.changed) return absl::OkStatus();
  if (outcome.version == kAbsent) return KeyNotFound(key);
  return VersionMismatch(key, outcome.version, version);
}

absl::StatusOr<StoredValue> RedisStore::Get(absl::string_view key,
                                            MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_ASSIGN_OR_RETURN(const RedisReply reply,
                      Call(key, {"GET", key}, deadline));
  if (reply->type == REDIS_REPLY_NIL) return KeyNotFound(key);
  if (reply->type != REDIS_REPLY_STRING) return UnexpectedReply(key);
  return ReadStored(key, Text(*reply));
}

absl::StatusOr<std::vector<std::string>> RedisStore::List(
    absl::string_view prefix, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(prefix, RealClock().Now(), deadline));
  const std::string pattern = PatternOf(prefix);
  std::vector<std::string> keys;
  std::string cursor = "0";
  do {
    TE_ASSIGN_OR_RETURN(
        const RedisReply reply,
        Call(prefix, {"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"},
             deadline));
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
      return UnexpectedReply(prefix);
    }
    cursor = std::string(Text(*reply->element[0]));
    const redisReply& page = *reply->element[1];
    for (size_t i = 0; i < page.elements; ++i) {
      if (page.element[i]->type != REDIS_REPLY_STRING) {
        return UnexpectedReply(prefix);
      }
      keys.emplace_back(Text(*page.element[i]));
    }
  } while (cursor != "0");
  // SCAN may show a key twice.
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

absl::Status RedisStore::Remove(absl::string_view key,
                                std::optional<uint64_t> expected_version,
                                MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Run(remove_, key, {VersionText(expected_version)}, deadline));
  if (outcome.changed) return absl::OkStatus();
  const uint64_t expected = expected_version.value_or(kAbsent);
  if (expected == outcome.version) return KeyNotFound(key);
  return VersionMismatch(key, outcome.version, expected);
}

absl::StatusOr<RedisStore::Outcome> RedisStore::Run(const Script& script,
                                                    absl::string_view key,
                                                    Words arguments,
                                                    MonotonicTime deadline) {
  std::vector<absl::string_view> command = {"EVALSHA", script.sha, "2", key,
                                            kCounterKey};
  command.insert(command.end(), arguments.begin(), arguments.end());
  absl::StatusOr<RedisReply> reply = Call(key, command, deadline);
  if (absl::IsFailedPrecondition(reply.status())) {
    // The server has been restarted. This makes it learn the script anew.
    command[0] = "EVAL";
    command[1] = script.source;
    reply = Call(key, command, deadline);
  }
  if (!reply.ok()) return reply.status();
  return ReadOutcome(key, **reply);
}

absl::StatusOr<RedisStore::Outcome> RedisStore::ReadOutcome(
    absl::string_view key, const redisReply& reply) {
  Outcome outcome;
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2 ||
      reply.element[0]->type != REDIS_REPLY_INTEGER ||
      reply.element[1]->type != REDIS_REPLY_STRING ||
      !absl::SimpleAtoi(Text(*reply.element[1]), &outcome.version)) {
    return UnexpectedReply(key);
  }
  outcome.changed = reply.element[0]->integer != 0;
  return outcome;
}

// Exchange, with the errors of the server as statuses that name the key.
absl::StatusOr<RedisReply> RedisStore::Call(absl::string_view key,
                                            Words command,
                                            MonotonicTime deadline) {
  absl::StatusOr<RedisReply> reply = Exchange(command, deadline);
  absl::Status status = reply.status();
  if (reply.ok() && (*reply)->type == REDIS_REPLY_ERROR) {
    if (absl::StrContains(Text(**reply), "TEFOREIGN")) return Foreign(key);
    status = RedisErrorStatus(**reply);
  }
  if (status.ok()) return reply;
  return absl::Status(status.code(),
                      absl::StrCat(DescribeKey(key), ": ", status.message()));
}

absl::StatusOr<RedisReply> RedisStore::Exchange(Words command,
                                                MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(std::unique_ptr<RedisConnection> connection,
                      Take(deadline));
  absl::StatusOr<RedisReply> reply = connection->Call(command, deadline);
  if (!reply.ok()) {
    connection.reset();
    // The others lead to the same server: each would cost a call to find out.
    DropIdle();
    reply = absl::Status(
        reply.status().code(),
        absl::StrCat(address_.ToString(), ": ", reply.status().message()));
  }
  GiveBack(std::move(connection));
  return reply;
}

absl::StatusOr<std::unique_ptr<RedisConnection>> RedisStore::Take(
    MonotonicTime deadline) {
  {
    MutexLock lock(mutex_);
    while (in_use_ == options_.max_connections) {
      if (!freed_.WaitUntil(mutex_, deadline) &&
          in_use_ == options_.max_connections) {
        return absl::DeadlineExceededError(absl::StrCat(
            address_.ToString(), ": all ", options_.max_connections,
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
absl::StatusOr<std::unique_ptr<RedisConnection>> RedisStore::Connect(
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

void RedisStore::DropIdle() {
  MutexLock lock(mutex_);
  idle_.clear();
}

// `connection` is null if it is of no more use.
void RedisStore::GiveBack(std::unique_ptr<RedisConnection> connection) {
  MutexLock lock(mutex_);
  --in_use_;
  if (connection != nullptr) idle_.push_back(std::move(connection));
  freed_.NotifyOne();
}

}  // namespace te
