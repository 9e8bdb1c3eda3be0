#include "te/metadata/redis_store.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/metadata/redis_scripts.h"
#include "te/metadata/redis_value.h"

namespace te {
namespace {

constexpr absl::string_view kVersionKey = "te/version";
constexpr absl::string_view kAnyVersion = "any";

// Keys that are asked for in one round trip. However few bytes are asked for,
// the first part comes whole, so this bounds what the server buffers for one
// call: to half a gigabyte, if all are as large as can be. Small ones would not
// be much faster with more.
constexpr size_t kKeysAtOnce = 32;

std::string ExpectedText(std::optional<uint64_t> version) {
  if (!version.has_value()) return std::string(kAnyVersion);
  if (*version == MetadataStore::kAbsent) return "0";
  return RedisVersionText(*version);
}

std::string LeaseText(Duration lease) {
  return absl::StrCat(LeaseMilliseconds(lease));
}

// With the key, and with the errors of the server as statuses.
absl::StatusOr<RedisReply> Explained(absl::string_view key,
                                     absl::StatusOr<RedisReply> reply) {
  absl::Status status = reply.status();
  if (reply.ok() && (*reply)->type == REDIS_REPLY_ERROR) {
    if (absl::StrContains(RedisText(**reply), "TEFOREIGN")) {
      return RedisForeign(key);
    }
    status = RedisErrorStatus(**reply);
  }
  if (status.ok()) return reply;
  return absl::Status(status.code(),
                      absl::StrCat(DescribeKey(key), ": ", status.message()));
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

// Keeps the first keys of a page, sorted. SCAN may show a key twice.
void CutToPage(KeyList& list) {
  std::vector<std::string>& keys = list.keys;
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  size_t bytes = 0;
  auto end = keys.begin();
  for (; end != keys.end() && bytes < kListBytes; ++end) bytes += end->size();
  if (end == keys.end()) return;
  list.more = true;
  keys.erase(end, keys.end());
}

// Adds the keys of an answer to SCAN that belong into the list to it; returns
// where to go on.
absl::StatusOr<std::string> ReadScan(absl::string_view prefix,
                                     absl::string_view after,
                                     const redisReply& reply,
                                     std::vector<std::string>& keys) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2 ||
      reply.element[0]->type != REDIS_REPLY_STRING ||
      reply.element[1]->type != REDIS_REPLY_ARRAY) {
    return RedisUnexpectedReply(prefix);
  }
  const redisReply& page = *reply.element[1];
  for (size_t i = 0; i < page.elements; ++i) {
    if (page.element[i]->type != REDIS_REPLY_STRING) {
      return RedisUnexpectedReply(prefix);
    }
    const absl::string_view key = RedisText(*page.element[i]);
    if (key > after && absl::StartsWith(key, prefix)) keys.emplace_back(key);
  }
  return std::string(RedisText(*reply.element[0]));
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
  TE_ASSIGN_OR_RETURN(std::unique_ptr<RedisSubscriber> subscriber,
                      RedisSubscriber::Create(address, options.watches));
  std::unique_ptr<RedisStore> store(
      new RedisStore(address, options, std::move(subscriber)));
  for (Script* script :
       {&store->put_, &store->renew_, &store->remove_, &store->get_}) {
    TE_RETURN_IF_ERROR(store->Load(*script, *connection, deadline));
  }
  store->pool_.Add(std::move(connection));
  return store;
}

RedisStore::RedisStore(const RedisAddress& address,
                       const RedisStoreOptions& options,
                       std::unique_ptr<RedisSubscriber> subscriber)
    : address_(address),
      channel_prefix_(RedisChannelPrefix(address.database)),
      put_{.source = RedisPutScript(), .sha = ""},
      renew_{.source = RedisRenewScript(), .sha = ""},
      remove_{.source = RedisRemoveScript(), .sha = ""},
      get_{.source = RedisGetScript(), .sha = ""},
      pool_(address, options.max_connections),
      subscriber_(std::move(subscriber)) {}

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
  script.sha = std::string(RedisText(*reply));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> RedisStore::Put(absl::string_view key,
                                         absl::Span<const ValuePartView> parts,
                                         const PutOptions& options,
                                         MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateParts(key, parts));
  TE_RETURN_IF_ERROR(ValidateLease(key, options.lease));
  const std::string expected = ExpectedText(options.expected_version);
  const std::string lease = LeaseText(options.lease);
  std::vector<std::string> numbers;
  numbers.reserve(parts.size());  // they are pointed into
  RedisCommand arguments = {expected, lease, channel_prefix_,
                            options.replace ? "1" : "0"};
  for (const ValuePartView& part : parts) {
    arguments.push_back(numbers.emplace_back(absl::StrCat(part.number)));
    arguments.push_back(part.bytes);
  }
  TE_ASSIGN_OR_RETURN(const Outcome outcome,
                      Change(put_, key, arguments, deadline));
  if (outcome.changed) return outcome.version;
  return VersionMismatch(key, outcome.version,
                         options.expected_version.value_or(kAbsent));
}

absl::Status RedisStore::Renew(absl::string_view key, uint64_t version,
                               Duration lease, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateLease(key, lease));
  TE_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Change(renew_, key, {ExpectedText(version), LeaseText(lease)}, deadline));
  if (outcome.changed) return absl::OkStatus();
  if (outcome.version == kAbsent) return KeyNotFound(key);
  return VersionMismatch(key, outcome.version, version);
}

absl::Status RedisStore::Remove(absl::string_view key,
                                std::optional<uint64_t> expected_version,
                                MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_ASSIGN_OR_RETURN(
      const Outcome outcome,
      Change(remove_, key, {ExpectedText(expected_version), channel_prefix_},
             deadline));
  if (outcome.changed) return absl::OkStatus();
  const uint64_t expected = expected_version.value_or(kAbsent);
  if (expected == outcome.version) return KeyNotFound(key);
  return VersionMismatch(key, outcome.version, expected);
}

absl::StatusOr<StoredValue> RedisStore::Get(absl::string_view key,
                                            const GetOptions& options,
                                            MonotonicTime deadline) {
  return std::move(Fetch({key}, options, deadline).front());
}

std::vector<absl::StatusOr<StoredValue>> RedisStore::GetMany(
    absl::Span<const std::string> keys, const GetOptions& options,
    MonotonicTime deadline) {
  const std::vector<absl::string_view> views(keys.begin(), keys.end());
  Values values = Fetch(views, options, deadline);
  // An answer that is none is bad luck for all that share its connection: who
  // is to blame shows when each is asked for by itself.
  for (size_t i = 0; i < keys.size(); ++i) {
    if (absl::IsDataLoss(values[i].status())) {
      values[i] = Get(keys[i], options, deadline);
    }
  }
  return values;
}

RedisStore::Values RedisStore::Fetch(Words keys, const GetOptions& options,
                                     MonotonicTime deadline) {
  Values values(keys.size());
  std::vector<size_t> places;
  const MonotonicTime now = RealClock().Now();
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::Status status = ValidateCall(keys[i], now, deadline);
    if (status.ok()) {
      places.push_back(i);
    } else {
      values[i] = status;
    }
  }
  // Most values have one part, which needs no script.
  if (options.since == 0 && options.first_part == 0) {
    places = FetchFirstParts(keys, places, deadline, values);
  }
  FetchParts(keys, places, options, deadline, values);
  return values;
}

// Returns the places whose values need more.
std::vector<size_t> RedisStore::FetchFirstParts(Words keys,
                                                absl::Span<const size_t> places,
                                                MonotonicTime deadline,
                                                Values& values) {
  std::vector<absl::string_view> names;
  std::vector<RedisCommand> commands;
  for (const size_t place : places) {
    names.push_back(keys[place]);
    commands.push_back({"HMGET", keys[place], "head", "p0"});
  }
  std::vector<size_t> unfinished;
  Call(names, commands, kKeysAtOnce, deadline,
       [&](size_t i, const absl::StatusOr<RedisReply>& reply) {
         absl::StatusOr<StoredValue>& value = values[places[i]];
         if (!reply.ok()) {
           value = reply.status();
           return;
         }
         absl::StatusOr<std::optional<StoredValue>> first =
             ReadRedisFirstPart(names[i], **reply);
         if (!first.ok()) {
           value = first.status();
         } else if (first->has_value()) {
           value = **std::move(first);
         } else {
           unfinished.push_back(places[i]);
         }
       });
  return unfinished;
}

void RedisStore::FetchParts(Words keys, absl::Span<const size_t> places,
                            const GetOptions& options, MonotonicTime deadline,
                            Values& values) {
  const size_t bytes = std::min(options.max_bytes, kMaxValueBytes);
  std::vector<absl::string_view> names;
  for (const size_t place : places) names.push_back(keys[place]);
  // Not more than one large answer at once, which the server has to hold.
  const size_t at_once =
      std::min(kMaxValueBytes / std::max<size_t>(bytes, 1), kKeysAtOnce);
  Run(get_, names,
      {RedisVersionText(options.since), absl::StrCat(options.first_part),
       absl::StrCat(bytes)},
      at_once, deadline,
      [&](size_t i, const absl::StatusOr<RedisReply>& reply) {
        values[places[i]] = reply.ok()
                                ? ReadRedisParts(names[i], **reply, options)
                                : reply.status();
      });
}

absl::StatusOr<KeyList> RedisStore::List(absl::string_view prefix,
                                         absl::string_view after,
                                         MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(prefix, RealClock().Now(), deadline));
  const std::string pattern = PatternOf(prefix);
  KeyList list;
  size_t bytes = 0;  // in about as many keys as are in the list
  absl::StatusOr<std::string> cursor = "0";
  do {
    const std::string begin = *cursor;
    std::vector<std::string> keys;
    Call({prefix},
         {{"SCAN", begin, "MATCH", pattern, "COUNT", "1000", "TYPE", "hash"}},
         1, deadline, [&](size_t, const absl::StatusOr<RedisReply>& reply) {
           if (reply.ok()) {
             cursor = ReadScan(prefix, after, **reply, keys);
           } else {
             cursor = reply.status();
           }
         });
    TE_RETURN_IF_ERROR(cursor.status());
    for (const std::string& key : keys) bytes += key.size();
    std::move(keys.begin(), keys.end(), std::back_inserter(list.keys));
    if (bytes < 4 * kListBytes) continue;
    CutToPage(list);
    bytes = kListBytes;
  } while (*cursor != "0");
  CutToPage(list);
  return list;
}

absl::StatusOr<std::unique_ptr<StoreWatch>> RedisStore::Watch(
    const WatchScope& scope, WatchCallback on_event) {
  return subscriber_->Watch(scope, std::move(on_event));
}

absl::StatusOr<RedisStore::Outcome> RedisStore::Change(const Script& script,
                                                       absl::string_view key,
                                                       Words arguments,
                                                       MonotonicTime deadline) {
  absl::StatusOr<Outcome> outcome;
  Run(script, {key}, arguments, 1, deadline,
      [&](size_t, const absl::StatusOr<RedisReply>& reply) {
        if (reply.ok()) {
          outcome = ReadOutcome(key, **reply);
        } else {
          outcome = reply.status();
        }
      });
  return outcome;
}

absl::StatusOr<RedisStore::Outcome> RedisStore::ReadOutcome(
    absl::string_view key, const redisReply& reply) const {
  Outcome outcome;
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2 ||
      reply.element[0]->type != REDIS_REPLY_INTEGER ||
      reply.element[1]->type != REDIS_REPLY_STRING ||
      !absl::SimpleAtoi(RedisText(*reply.element[1]), &outcome.version)) {
    return RedisUnexpectedReply(key);
  }
  const auto what = static_cast<RedisOutcome>(reply.element[0]->integer);
  outcome.changed = what != RedisOutcome::kUnchanged;
  if (what == RedisOutcome::kUntold) {
    LOG_FIRST_N(WARNING, 1)
        << address_.ToString()
        << " does not let this user publish changes, so that nobody who "
           "watches hears of them; see docs/metadata.md for what to grant";
  }
  return outcome;
}

// Calls the script for each of the keys, with the same arguments.
void RedisStore::Run(const Script& script, Words keys, Words arguments,
                     size_t at_once, MonotonicTime deadline, TakeReply take) {
  std::vector<RedisCommand> commands;
  commands.reserve(keys.size());
  for (const absl::string_view key : keys) {
    RedisCommand& command = commands.emplace_back();
    command.reserve(5 + arguments.size());
    command = {"EVALSHA", script.sha, "2", key, kVersionKey};
    command.insert(command.end(), arguments.begin(), arguments.end());
  }
  std::vector<size_t> unknown;
  Call(keys, commands, at_once, deadline,
       [&](size_t i, absl::StatusOr<RedisReply> reply) {
         if (absl::IsFailedPrecondition(reply.status())) {
           unknown.push_back(i);
         } else {
           take(i, std::move(reply));
         }
       });
  if (unknown.empty()) return;
  // The server has been restarted. The first of them makes it learn the script
  // anew.
  std::vector<absl::string_view> keys_left;
  std::vector<RedisCommand> commands_left;
  for (const size_t i : unknown) {
    keys_left.push_back(keys[i]);
    commands_left.push_back(std::move(commands[i]));
  }
  commands_left[0][0] = "EVAL";
  commands_left[0][1] = script.source;
  Call(keys_left, commands_left, at_once, deadline,
       [&](size_t i, absl::StatusOr<RedisReply> reply) {
         // Once more it has been restarted, or told to forget scripts.
         if (absl::IsFailedPrecondition(reply.status())) {
           reply = absl::UnavailableError(reply.status().message());
         }
         take(unknown[i], std::move(reply));
       });
}

// Sends commands, so many in one round trip, and hands the replies over. When
// the connection is lost, the commands that are left get that error.
void RedisStore::Call(Words keys, absl::Span<const RedisCommand> commands,
                      size_t at_once, MonotonicTime deadline, TakeReply take) {
  absl::Status lost;
  for (size_t begin = 0; begin < commands.size(); begin += at_once) {
    const auto batch = commands.subspan(begin, at_once);
    std::vector<absl::StatusOr<RedisReply>> replies;
    if (lost.ok()) {
      replies = pool_.CallMany(batch, deadline);
      lost = replies.back().status();
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      const size_t place = begin + i;
      take(place, Explained(keys[place],
                            i < replies.size() ? std::move(replies[i]) : lost));
    }
  }
}

}  // namespace te
