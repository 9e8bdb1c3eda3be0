// Against real servers.
#include "te/metadata/redis_store.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/metadata/metadata_store_conformance.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_server_process.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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
TEST(RedisStoreTest, NeedsNoMoreThanTheDocumentedPermissions) {
  const RedisServerProcess server("operator");
  Command(server, {"ACL", "SETUSER", "te", "on", ">pw", "~te/*", "+select",
                   "+script", "+evalsha", "+eval", "+get", "+getrange", "+set",
                   "+incr", "+pexpire", "+persist", "+del", "+scan"});
  RedisAddress address = server.tcp();
  address.user = "te";
  address.password = "pw";
  const auto store = Connect(address);
  ASSERT_NE(store, nullptr);
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t version,
      store->Put("te/k", "1", {.lease = seconds(60)}, Soon()));
  TE_EXPECT_OK(store->Renew("te/k", version, seconds(60), Soon()));
  TE_EXPECT_OK(store->Renew("te/k", version, Duration::zero(), Soon()));
  TE_EXPECT_OK(store->Put("te/k", "2", {}, Soon()).status());
  TE_EXPECT_OK(store->Get("te/k", Soon()).status());
  TE_EXPECT_OK(store->List("te/", Soon()).status());
  TE_EXPECT_OK(store->Remove("te/k", std::nullopt, Soon()));

  const auto refused = StatusIs(absl::StatusCode::kPermissionDenied,
                                HasSubstr("the user needs ~te/* +select"));
  EXPECT_THAT(store->Get("other", Soon()), refused);
  EXPECT_THAT(store->Put("other", "", {}, Soon()), refused);
  Command(server, {"ACL", "SETUSER", "te", "-set"});
  EXPECT_THAT(store->Put("te/k", "", {}, Soon()), refused);
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
    EXPECT_THAT(store->Get("k", RealClock().Now() + milliseconds(50)),
                StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("k")));
  }
  EXPECT_LT(RealClock().Now() - begin, seconds(20));
  server.Continue();
  EXPECT_THAT(store->Get("k", Soon()), StatusIs(absl::StatusCode::kNotFound));
}

TEST(RedisStoreTest, ComesBackWithTheServer) {
  RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK(store->Put("k", "1", {}, Soon()).status());
  server.Kill();
  EXPECT_THAT(store->Get("k", RealClock().Now() + milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable));
  // A call that begins while it is away finds it when it is back.
  TE_ASSERT_OK_AND_ASSIGN(
      const Thread caller, Thread::Start({.name = "caller"}, [&] {
        TE_EXPECT_OK(store->Put("k", "2", {}, Soon()).status());
      }));
  server.Restart();
}

TEST(RedisStoreTest, SurvivesWhatForgetsScriptsAndKeys) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  TE_ASSERT_OK(store->Put("k", "1", {}, Soon()).status());
  Command(server, {"SCRIPT", "FLUSH"});
  Command(server, {"FLUSHALL"});
  EXPECT_THAT(store->Get("k", Soon()), StatusIs(absl::StatusCode::kNotFound));
  TE_EXPECT_OK(store->Put("k", "2", {.expected_version = 0}, Soon()).status());
  EXPECT_EQ(store->Get("k", Soon())->value, "2");
}

TEST(RedisStoreTest, LeavesWhatOthersHavePutThereAlone) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  Command(server, {"SET", "text", "hello"});
  Command(server, {"SET", "short", "te1:"});
  Command(server, {"RPUSH", "list", "hello"});
  for (const char* key : {"text", "short", "list"}) {
    SCOPED_TRACE(key);
    const auto lost = StatusIs(absl::StatusCode::kDataLoss, HasSubstr(key));
    EXPECT_THAT(store->Get(key, Soon()), lost);
    EXPECT_THAT(store->Put(key, "x", {}, Soon()), lost);
    EXPECT_THAT(store->Renew(key, 1, Duration::zero(), Soon()), lost);
    EXPECT_THAT(store->Remove(key, std::nullopt, Soon()), lost);
  }
  EXPECT_STREQ(Command(server, {"GET", "text"})->str, "hello");
}

TEST(RedisStoreTest, SaysThatTheServerIsFull) {
  const RedisServerProcess server;
  const auto store = Connect(server.tcp());
  Command(server, {"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_THAT(
      store->Put("k", "1", {}, Soon()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("maxmemory")));
}

}  // namespace
}  // namespace te
