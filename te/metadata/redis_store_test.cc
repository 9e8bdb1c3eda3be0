// Against real servers.
#include "te/metadata/redis_store.h"

#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_store_conformance.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_server_process.h"
#include "te/metadata/value_part.h"
#include "te/metadata/watch_events.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

MonotonicTime Soon() { return RealClock().Now() + seconds(60); }

std::unique_ptr<RedisStore> Connect(const RedisAddress& address) {
  auto store = RedisStore::Create(address, {}, Soon());
  TE_EXPECT_OK(store);
  return store.ok() ? *std::move(store) : nullptr;
}

// What an operator's redis-cli would do.
RedisReply Command(const RedisServerProcess& server,
                   absl::Span<const absl::string_view> words) {
  auto connection = RedisConnection::Open(server.unix_socket(), Soon());
  TE_EXPECT_OK(connection);
  auto reply = (*connection)->Call(words, Soon());
  TE_EXPECT_OK(reply);
  return *std::move(reply);
}

// The store of one test, and its server, emptied before each.
template <bool kUnix>
std::unique_ptr<MetadataStore> EmptyStore() {
  static const RedisServerProcess server(kUnix ? "a password: %@/" : "");
  Command(server, {"FLUSHALL"});
  return Connect(kUnix ? server.unix_socket() : server.tcp());
}

INSTANTIATE_TEST_SUITE_P(RedisTcp, MetadataStoreConformance,
                         testing::Values(EmptyStore<false>));
INSTANTIATE_TEST_SUITE_P(RedisUnixWithPassword, MetadataStoreConformance,
                         testing::Values(EmptyStore<true>));

TEST(RedisStoreTest, SaysWhyItMayNotComeIn) {
  const RedisServerProcess server("right");
  RedisAddress address = server.tcp();
  address.password = "hunter2";
  EXPECT_THAT(
      RedisStore::Create(address, {}, Soon()),
      StatusIs(absl::StatusCode::kUnauthenticated,
               AllOf(HasSubstr(address.ToString()), HasSubstr("password"),
                     Not(HasSubstr("hunter2")))));
  address.password = "";
  EXPECT_THAT(RedisStore::Create(address, {}, Soon()),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("redis://:password@host")));
  address = server.tcp();
  address.user = "nobody";
  EXPECT_THAT(RedisStore::Create(address, {}, Soon()),
              StatusIs(absl::StatusCode::kUnauthenticated));
  address = server.tcp();
  address.database = 16;
  EXPECT_THAT(
      RedisStore::Create(address, {}, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("databases")));
}

// What docs/metadata.md tells operators to grant.
const std::vector<absl::string_view> kPermissions = {
    "~te/*",        "&te/changed/*", "+select",  "+script",    "+evalsha",
    "+eval",        "+hget",         "+hmget",   "+hset",      "+hstrlen",
    "+exists",      "+del",          "+pexpire", "+persist",   "+getset",
    "+time",        "+scan",         "+publish", "+subscribe", "+psubscribe",
    "+unsubscribe", "+punsubscribe", "+ping"};
// The last ones only spare the server what nobody needs any more, and its log
// refusals.
constexpr size_t kNeeded = 20;

// Does everything that a store can do, from an empty server on.
absl::Status DoEverything(const RedisServerProcess& server,
                          const RedisAddress& address) {
  Command(server, {"FLUSHALL"});
  TE_ASSIGN_OR_RETURN(const std::unique_ptr<RedisStore> store,
                      RedisStore::Create(address, {}, Soon()));
  Command(server, {"SCRIPT", "FLUSH"});
  WatchEvents logs[2];
  std::vector<std::unique_ptr<StoreWatch>> watches;
  for (const bool prefix : {false, true}) {
    WatchEvents& log = logs[prefix ? 1 : 0];
    TE_ASSIGN_OR_RETURN(
        watches.emplace_back(),
        store->Watch({.key = "te/k", .prefix = prefix}, log.callback()));
    TE_RETURN_IF_ERROR(log.AwaitBeginning());
  }
  TE_ASSIGN_OR_RETURN(
      uint64_t version,
      store->Put("te/k", {{0, "1"}, {1, "2"}}, {.lease = seconds(60)}, Soon()));
  TE_RETURN_IF_ERROR(store->Renew("te/k", version, seconds(60), Soon()));
  TE_RETURN_IF_ERROR(store->Renew("te/k", version, Duration::zero(), Soon()));
  TE_RETURN_IF_ERROR(store->Get("te/k", {}, Soon()).status());
  TE_ASSIGN_OR_RETURN(
      version, store->Put("te/k", {{0, "1"}}, {.replace = true}, Soon()));
  TE_RETURN_IF_ERROR(
      store->Get("te/k", {.since = version - 1}, Soon()).status());
  TE_RETURN_IF_ERROR(store->List("te/", "", Soon()).status());
  TE_RETURN_IF_ERROR(store->Remove("te/k", std::nullopt, Soon()));
  const absl::Status gone = store->Get("te/k", {}, Soon()).status();
  return absl::IsNotFound(gone) ? absl::OkStatus() : gone;
}

TEST(RedisStoreTest, NeedsTheDocumentedPermissionsAndNoMore) {
  const RedisServerProcess server("operator");
  RedisAddress address = server.tcp();
  address.user = "te";
  address.password = "pw";
  for (size_t missing = 0; missing <= kNeeded; ++missing) {
    // Once none is.
    const bool all = missing == kNeeded;
    SCOPED_TRACE(all ? "all" : kPermissions[missing]);
    RedisCommand grant = {"ACL", "SETUSER", "te", "reset", "on", ">pw"};
    for (size_t i = 0; i < kPermissions.size(); ++i) {
      if (all || i != missing) grant.push_back(kPermissions[i]);
    }
    Command(server, grant);
    Command(server, {"ACL", "LOG", "RESET"});
    const absl::Status status = DoEverything(server, address);
    const size_t refusals = Command(server, {"ACL", "LOG"})->elements;
    if (all) {
      TE_EXPECT_OK(status);
      EXPECT_EQ(refusals, 0u);
    } else if (kPermissions[missing] == "+publish") {
      // Changes are made all the same; the log below tells of it.
      TE_EXPECT_OK(status);
      EXPECT_NE(refusals, 0u);
    } else {
      EXPECT_THAT(status,
                  StatusIs(absl::StatusCode::kPermissionDenied,
                           HasSubstr(absl::StrJoin(kPermissions, " "))));
    }
  }
}

// As with a user of before there were watches.
TEST(RedisStoreTest, WorksWithoutItsChannels) {
  const RedisServerProcess server("operator");
  Command(server, {"ACL", "SETUSER", "te", "on", ">pw", "~te/*",
                   "resetchannels", "+@all"});
  RedisAddress address = server.tcp();
  address.user = "te";
  address.password = "pw";
  const auto store = Connect(address);
  ASSERT_NE(store, nullptr);
  WatchEvents log;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "te/k"}, log.callback()));
  EXPECT_THAT(log.AwaitBroken(), StatusIs(absl::StatusCode::kPermissionDenied,
                                          HasSubstr("&te/changed/*")));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store->Put("te/k", {{0, "1"}}, {}, Soon()));
  EXPECT_EQ(store->Get("te/k", {}, Soon())->version, version);
  TE_EXPECT_OK(store->Remove("te/k", version, Soon()));

  const auto refused = StatusIs(absl::StatusCode::kPermissionDenied,
                                HasSubstr("the user needs ~te/*"));
  EXPECT_THAT(store->Get("other", {}, Soon()), refused);
  EXPECT_THAT(store->Put("other", {}, {}, Soon()), refused);
}

TEST(RedisStoreTest, SaysThatNobodyAnswers) {
  RedisServerProcess server;
  server.Kill();
  for (const RedisAddress& address : {server.tcp(), server.unix_socket()}) {
    EXPECT_THAT(RedisStore::Create(address, {}, Soon()),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr(address.ToString())));
  }
}

TEST(RedisStoreTest, AStoppedServerCostsTheDeadlineAndNoMore) {
  RedisServerProcess server;
  const auto store = Connect(server.tcp());
  server.Stop();
  const MonotonicTime begin = RealClock().Now();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(store->Get("k", {}, RealClock().Now() + milliseconds(50)),
                StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("k")));
  }
  EXPECT_LT(RealClock().Now() - begin, seconds(20));
  server.Continue();
  EXPECT_THAT(store->Get("k", {}, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(RedisStoreTest, ComesBackWithTheServer) {
  RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK(store->Put("k", {{0, "1"}}, {}, Soon()).status());
  server.Kill();
  EXPECT_THAT(store->Get("k", {}, RealClock().Now() + milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable));
  // A call that begins while it is away finds it when it is back.
  TE_ASSERT_OK_AND_ASSIGN(
      const Thread caller, Thread::Start({.name = "caller"}, [&] {
        TE_EXPECT_OK(store->Put("k", {{0, "2"}}, {}, Soon()).status());
      }));
  server.Restart();
}

TEST(RedisStoreTest, SurvivesWhatForgetsScriptsAndKeys) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK(store->Put("k", {{0, "1"}}, {}, Soon()).status());
  Command(server, {"SCRIPT", "FLUSH"});
  Command(server, {"FLUSHALL"});
  EXPECT_THAT(store->Get("k", {}, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
  TE_EXPECT_OK(
      store->Put("k", {{0, "2"}}, {.expected_version = 0}, Soon()).status());
  EXPECT_EQ(store->Get("k", {}, Soon())->parts[0].bytes, "2");
}

// Also in between the calls of one script.
TEST(RedisStoreTest, ScriptsMayBeForgottenAtAnyTime) {
  const RedisServerProcess server;
  const auto store = Connect(server.unix_socket());
  // Two parts take a script.
  TE_ASSERT_OK(store->Put("k", {{0, "1"}, {1, "2"}}, {}, Soon()));
  TE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<RedisConnection> connection,
                          RedisConnection::Open(server.unix_socket(), Soon()));
  std::atomic<bool> done = false;
  TE_ASSERT_OK_AND_ASSIGN(
      Thread forgetter, Thread::Start({.name = "forgetter"}, [&] {
        while (!done) {
          TE_EXPECT_OK(connection->Call({"SCRIPT", "FLUSH"}, Soon()).status());
        }
      }));
  const std::vector<std::string> keys(10'000, "k");
  for (int i = 0; i < 5; ++i) {
    for (const auto& value : store->GetMany(keys, {}, Soon())) {
      if (value.ok()) continue;
      EXPECT_THAT(value,
                  StatusIs(absl::StatusCode::kUnavailable, HasSubstr("'k'")));
    }
  }
  done = true;
}

TEST(RedisStoreTest, LeavesWhatOthersHavePutThereAlone) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  const std::string one = "00000000000000000001";
  const std::string zero = "00000000000000000000";
  Command(server, {"SET", "text", "hello"});
  Command(server, {"RPUSH", "list", "hello"});
  Command(server, {"HSET", "headless", "p0", "hello"});
  const std::vector<std::string> heads = {
      "hello",
      "te1:",
      absl::StrCat("te1:", one, ":", one),
      absl::StrCat("te1:", one, ":", one, ":"),
      absl::StrCat("te1:", one, ":", one, ":x"),
      absl::StrCat("te1:", one, ":", one, ":-1"),
      absl::StrCat("te1:", one, ":", one, ":8193"),
      absl::StrCat("te1:", one, ":", one, ":99999999999"),
      absl::StrCat("te1:", one, ":1:1"),
      absl::StrCat("te1:", zero, ":", one, ":1"),
      absl::StrCat("te1:", one, ":", zero, ":1"),
      absl::StrCat("xte1:", one, ":", one, ":1"),
      absl::StrCat("te1:", one, ":", one, ":1", std::string(1, 0)),
  };
  std::vector<std::string> keys = {"text", "list", "headless"};
  for (const std::string& head : heads) {
    keys.push_back(absl::StrCat("hash", keys.size()));
    Command(server, {"HSET", keys.back(), "head", head, "p0", "hello"});
  }
  for (const std::string& key : keys) {
    SCOPED_TRACE(key);
    const RedisReply before = Command(server, {"DUMP", key});
    const auto lost = StatusIs(absl::StatusCode::kDataLoss, HasSubstr(key));
    EXPECT_THAT(store->Get(key, {}, Soon()), lost);
    EXPECT_THAT(store->Get(key, {.since = 1}, Soon()), lost);
    EXPECT_THAT(store->GetMany({key}, {}, Soon())[0], lost);
    EXPECT_THAT(store->Put(key, {{0, "x"}}, {}, Soon()), lost);
    EXPECT_THAT(store->Put(key, {{0, "x"}}, {.replace = true}, Soon()), lost);
    EXPECT_THAT(store->Renew(key, 1, Duration::zero(), Soon()), lost);
    EXPECT_THAT(store->Remove(key, std::nullopt, Soon()), lost);
    const RedisReply after = Command(server, {"DUMP", key});
    EXPECT_EQ(std::string(before->str, before->len),
              std::string(after->str, after->len));
  }
}

TEST(RedisStoreTest, NoticesVersionsOfPartsThatAreNone) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t first,
                          store->Put("k", {{0, "0"}, {1, "1"}}, {}, Soon()));
  TE_ASSERT_OK(store->Put("k", {{0, "2"}}, {}, Soon()));
  for (const char* bad : {"", "x", "9", "0000000000000000000x"}) {
    Command(server, {"HSET", "k", "v1", bad});
    const auto lost = StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'k'"));
    EXPECT_THAT(store->Get("k", {}, Soon()), lost);
    EXPECT_THAT(store->Get("k", {.since = first}, Soon()), lost);
  }
  // Its bytes are gone: a part that is empty.
  TE_ASSERT_OK(store->Put("k", {{1, "1"}}, {}, Soon()));
  Command(server, {"HDEL", "k", "p1"});
  EXPECT_THAT(store->Get("k", {}, Soon())->parts,
              ElementsAre(ValuePart{0, "2"}));
  EXPECT_THAT(store->Get("k", {.since = first}, Soon())->parts,
              ElementsAre(ValuePart{0, "2"}, ValuePart{1, ""}));
}

// Also when a part of it is: a server that has saved its data now and then
// comes back with an old counter.
TEST(RedisStoreTest, VersionsGoOnWhenDataIsLost) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK_AND_ASSIGN(uint64_t last,
                          store->Put("k", {{0, "1"}}, {}, Soon()));
  const RedisReply counter = Command(server, {"GET", "te/version"});
  const std::string saved(counter->str, counter->len);
  for (const std::string& lost :
       {saved, std::string("7"), std::string("-7"), std::string("none"),
        std::string("99999999999999999999"), std::string()}) {
    SCOPED_TRACE(lost);
    TE_ASSERT_OK_AND_ASSIGN(last, store->Put("k", {{0, "1"}}, {}, Soon()));
    Command(server, {"FLUSHALL"});
    if (!lost.empty()) Command(server, {"SET", "te/version", lost});
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t next,
                            store->Put("k", {{0, "1"}}, {}, Soon()));
    EXPECT_GT(next, last);
    EXPECT_LT(next, FirstVersion() + 1'000'000'000);
  }
}

TEST(RedisStoreTest, VersionsGoOnWhenTheClockIsTurnedBack) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  // An hour ahead of it.
  const uint64_t last = FirstVersion() + 3'600'000'000;
  Command(server, {"SET", "te/version", absl::StrCat(last)});
  EXPECT_THAT(store->Put("k", {{0, "1"}}, {}, Soon()), IsOkAndHolds(last + 1));
  EXPECT_THAT(store->Put("k", {{0, "1"}}, {}, Soon()), IsOkAndHolds(last + 2));
}

TEST(RedisStoreTest, AWatchSurvivesTheServer) {
  RedisServerProcess server;
  const auto store = Connect(server.tcp());
  WatchEvents log;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "k"}, log.callback()));
  ASSERT_TRUE(log.AwaitBegun());
  server.Kill();
  EXPECT_THAT(log.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  server.Restart();
  ASSERT_TRUE(log.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store->Put("k", {{0, "1"}}, {}, Soon()));
  EXPECT_TRUE(log.AwaitChange("k", version));
}

// The keys up to some one have values, and those behind it the error.
TEST(RedisStoreTest, GetManyOfADyingServerEnds) {
  constexpr int kKeys = 20'000;
  RedisServerProcess server;
  const auto store = Connect(server.unix_socket());
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back(absl::StrCat("k", i % 1000));
  for (int i = 0; i < 1000; ++i) {
    TE_ASSERT_OK(store->Put(keys[static_cast<size_t>(i)], {{0, "x"}, {1, "y"}},
                            {}, Soon()));
  }
  size_t done = 0;
  Mutex mutex;
  TE_ASSERT_OK_AND_ASSIGN(Thread killer, Thread::Start({.name = "killer"}, [&] {
                            const MonotonicTime deadline = Soon();
                            while (RealClock().Now() < deadline) {
                              MutexLock lock(mutex);
                              if (done > 0) break;
                            }
                            server.Kill();
                          }));
  std::vector<absl::StatusOr<StoredValue>> values;
  do {
    values = store->GetMany(keys, {}, RealClock().Now() + seconds(1));
    MutexLock lock(mutex);
    ++done;
  } while (values.back().ok());
  killer.Join();
  ASSERT_THAT(values, SizeIs(kKeys));
  bool lost = false;
  for (size_t i = 0; i < keys.size(); ++i) {
    lost = lost || !values[i].ok();
    if (!lost) continue;
    ASSERT_THAT(values[i],
                StatusIs(AnyOf(absl::StatusCode::kUnavailable,
                               absl::StatusCode::kDeadlineExceeded),
                         HasSubstr(absl::StrCat("'", keys[i], "'"))));
  }
  EXPECT_TRUE(lost);
}

// The server hangs up on whom it would have to keep more for.
TEST(RedisStoreTest, GetManyOfLargeValuesDoesNotBurdenTheServer) {
  const RedisServerProcess server;
  const auto store = Connect(server.unix_socket());
  const std::string large(256 << 10, 'x');
  TE_ASSERT_OK(store->Put("one", {{0, large}}, {}, Soon()));
  TE_ASSERT_OK(store->Put("two", {{0, large}, {1, "y"}}, {}, Soon()));
  Command(server, {"CONFIG", "SET", "client-output-buffer-limit",
                   "normal 16777216 0 0"});
  for (const char* key : {"one", "two"}) {
    const std::vector<std::string> keys(256, key);
    const auto values = store->GetMany(keys, {.max_bytes = 0}, Soon());
    ASSERT_EQ(values.size(), keys.size());
    for (const auto& value : values) {
      TE_ASSERT_OK(value);
      ASSERT_EQ(value->parts.size(), 1u);
      EXPECT_EQ(value->parts[0].number, 0u);
      // Not by a matcher, which would copy it each time.
      EXPECT_TRUE(value->parts[0].bytes == large);
    }
  }
}

TEST(RedisStoreTest, SaysThatTheServerIsFull) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  Command(server, {"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_THAT(
      store->Put("k", {{0, "1"}}, {}, Soon()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("maxmemory")));
}

TEST(RedisStoreTest, OneAnswerThatIsTooLongBlamesNoOther) {
  const RedisServerProcess server;
  const auto store = Connect(server.unix_socket());
  TE_ASSERT_OK(store->Put("a", {{0, "1"}}, {}, Soon()));
  TE_ASSERT_OK(store->Put("c", {{0, "3"}}, {}, Soon()));
  Command(server, {"HSET", "b", "head",
                   "te1:00000000000000000001:00000000000000000001:1", "v0",
                   "00000000000000000001", "p0", std::string(30 << 20, 'x')});
  const std::vector<std::string> keys = {"a", "b", "c"};
  const auto values = store->GetMany(keys, {.max_bytes = 0}, Soon());
  TE_EXPECT_OK(values[0]);
  EXPECT_THAT(values[1],
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'b'")));
  TE_EXPECT_OK(values[2]);
}

}  // namespace
}  // namespace te
