// Against real servers, and against one that is none.
#include "te/metadata/redis_subscriber.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_server_process.h"
#include "te/metadata/watch_events.h"

namespace te {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + seconds(60); }

std::unique_ptr<RedisSubscriber> Subscriber(
    const RedisAddress& address, const RedisSubscriberOptions& options = {}) {
  auto subscriber = RedisSubscriber::Create(address, options);
  TE_EXPECT_OK(subscriber);
  return *std::move(subscriber);
}

std::unique_ptr<StoreWatch> Watch(RedisSubscriber& subscriber,
                                  const WatchScope& scope, WatchEvents& log) {
  auto watch = subscriber.Watch(scope, log.callback());
  TE_EXPECT_OK(watch);
  return *std::move(watch);
}

RedisReply Command(const RedisAddress& address,
                   absl::Span<const absl::string_view> words) {
  auto connection = RedisConnection::Open(address, Soon());
  TE_EXPECT_OK(connection);
  auto reply = (*connection)->Call(words, Soon());
  TE_EXPECT_OK(reply);
  return *std::move(reply);
}

// What a Put does; see redis_store_test for the real one.
void Publish(const RedisAddress& address, const std::string& key,
             const std::string& version) {
  const std::string channel =
      absl::StrCat(RedisChannelPrefix(address.database), key);
  Command(address, {"PUBLISH", channel, version});
}

TEST(RedisSubscriberTest, TheServerMayDieAndComeBack) {
  RedisServerProcess server;
  const auto subscriber = Subscriber(server.tcp());
  WatchEvents log, later;
  const auto watch = Watch(*subscriber, {.key = "k"}, log);
  ASSERT_TRUE(log.AwaitBegun());
  server.Kill();
  EXPECT_THAT(log.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable,
                                          HasSubstr(server.tcp().ToString())));
  // One that comes meanwhile hears of it too.
  const auto other = Watch(*subscriber, {.key = "k", .prefix = true}, later);
  EXPECT_THAT(later.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  server.Restart();
  ASSERT_TRUE(log.AwaitBegun());
  ASSERT_TRUE(later.AwaitBegun());
  Publish(server.tcp(), "k", "7");
  EXPECT_TRUE(log.AwaitChange("k", 7));
  EXPECT_TRUE(later.AwaitChange("k", 7));
}

TEST(RedisSubscriberTest, NoticesASilentServer) {
  RedisServerProcess server;
  const auto subscriber =
      Subscriber(server.tcp(),
                 {.silence = milliseconds(20), .patience = milliseconds(500)});
  WatchEvents log;
  const auto watch = Watch(*subscriber, {.key = "k"}, log);
  ASSERT_TRUE(log.AwaitBegun());
  server.Stop();
  EXPECT_THAT(log.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable,
                                          HasSubstr("no answer in time")));
  server.Continue();
  ASSERT_TRUE(log.AwaitBegun());
  Publish(server.tcp(), "k", "7");
  EXPECT_TRUE(log.AwaitChange("k", 7));
}

// How often the server has been asked for a sign of life.
int Pings(const RedisAddress& address) {
  const RedisReply stats = Command(address, {"INFO", "commandstats"});
  const std::string text(stats->str, stats->len);
  const std::string mark = "cmdstat_ping:calls=";
  const size_t at = text.find(mark);
  if (at == std::string::npos) return 0;
  int pings = 0;
  const size_t begin = at + mark.size();
  EXPECT_TRUE(absl::SimpleAtoi(
      text.substr(begin, text.find(',', begin) - begin), &pings));
  return pings;
}

// The answer to PING is another one when there are subscriptions.
TEST(RedisSubscriberTest, SilenceIsNoOutage) {
  const RedisServerProcess server;
  const auto subscriber =
      Subscriber(server.unix_socket(), {.silence = milliseconds(5)});
  WatchEvents log;
  auto watch = Watch(*subscriber, {.key = "k"}, log);
  ASSERT_TRUE(log.AwaitBegun());
  while (Pings(server.unix_socket()) < 3) {
  }
  EXPECT_EQ(log.events().size(), 1u);
  watch.reset();
  const int before = Pings(server.unix_socket());
  while (Pings(server.unix_socket()) < before + 3) {
  }
  WatchEvents other;
  watch = Watch(*subscriber, {.key = "k"}, other);
  ASSERT_TRUE(other.AwaitBegun());
  EXPECT_EQ(other.events().size(), 1u);
}

// Without waiting for the server, whatever it is that keeps it silent.
TEST(RedisSubscriberTest, EndsAtOnce) {
  RedisServerProcess server;
  const RedisSubscriberOptions patient = {.silence = hours(1),
                                          .patience = hours(1)};
  auto connected = Subscriber(server.tcp(), patient);
  WatchEvents log, other;
  auto watch = Watch(*connected, {.key = "k"}, log);
  ASSERT_TRUE(log.AwaitBegun());
  server.Stop();
  auto unanswered = Watch(*connected, {.key = "l"}, log);
  auto connecting = Subscriber(server.tcp(), patient);
  auto waiting = Watch(*connecting, {.key = "k"}, other);
  watch.reset();
  unanswered.reset();
  waiting.reset();
  connected.reset();
  connecting.reset();
}

TEST(RedisSubscriberTest, SaysWhatToGrant) {
  const RedisServerProcess server("operator");
  Command(server.tcp(), {"ACL", "SETUSER", "te", "on", ">pw", "~te/*",
                         "resetchannels", "+@all"});
  RedisAddress address = server.tcp();
  address.user = "te";
  address.password = "pw";
  for (const bool prefix : {false, true}) {
    // The server hangs up on whom it takes a right from.
    const auto subscriber = Subscriber(address, {.retry = milliseconds(5)});
    WatchEvents log;
    const auto watch =
        Watch(*subscriber, {.key = "te/k", .prefix = prefix}, log);
    EXPECT_THAT(log.AwaitBroken(),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         AllOf(HasSubstr("'te/k'"), HasSubstr("NOPERM"),
                               HasSubstr("&te/changed/*"))));
    Command(server.tcp(), {"ACL", "SETUSER", "te", "&te/changed/*"});
    EXPECT_TRUE(log.AwaitBegun());
    Publish(address, "te/k", "7");
    EXPECT_TRUE(log.AwaitChange("te/k", 7));
    Command(server.tcp(), {"ACL", "SETUSER", "te", "resetchannels"});
  }
}

TEST(RedisSubscriberTest, DatabasesDoNotHearEachOther) {
  const RedisServerProcess server;
  RedisAddress addresses[] = {server.tcp(), server.tcp()};
  addresses[1].database = 1;
  for (const bool prefix : {false, true}) {
    WatchEvents logs[2];
    const auto zero = Subscriber(addresses[0]);
    const auto one = Subscriber(addresses[1]);
    const auto a = Watch(*zero, {.key = "k", .prefix = prefix}, logs[0]);
    const auto b = Watch(*one, {.key = "k", .prefix = prefix}, logs[1]);
    ASSERT_TRUE(logs[0].AwaitBegun());
    ASSERT_TRUE(logs[1].AwaitBegun());
    Publish(addresses[0], "k", "7");
    Publish(addresses[1], "k", "8");
    Publish(addresses[0], "k", "9");
    EXPECT_TRUE(logs[0].AwaitChange("k", 9));
    EXPECT_TRUE(logs[1].AwaitChange("k", 8));
    EXPECT_EQ(logs[0].events().size(), 3u);
    EXPECT_EQ(logs[1].events().size(), 2u);
  }
}

// It comes once for the key and once for all prefixes.
TEST(RedisSubscriberTest, AChangeIsToldOnce) {
  const RedisServerProcess server;
  const auto subscriber = Subscriber(server.tcp());
  WatchEvents logs[3];
  const auto key = Watch(*subscriber, {.key = "a/k"}, logs[0]);
  const auto near = Watch(*subscriber, {.key = "a/", .prefix = true}, logs[1]);
  auto far = Watch(*subscriber, {.key = "a", .prefix = true}, logs[2]);
  for (WatchEvents& log : logs) ASSERT_TRUE(log.AwaitBegun());
  Publish(server.tcp(), "a/k", "7");
  Publish(server.tcp(), "a/k", "8");
  for (WatchEvents& log : logs) {
    EXPECT_TRUE(log.AwaitChange("a/k", 8));
    EXPECT_EQ(log.events().size(), 3u);
  }
  // The others of the subscription stay.
  far.reset();
  WatchEvents again;
  far = Watch(*subscriber, {.key = "a", .prefix = true}, again);
  ASSERT_TRUE(again.AwaitBegun());
  Publish(server.tcp(), "a/k", "9");
  EXPECT_TRUE(logs[1].AwaitChange("a/k", 9));
  EXPECT_TRUE(again.AwaitChange("a/k", 9));
}

TEST(RedisSubscriberTest, WatchesMayComeAndGoQuickly) {
  const RedisServerProcess server;
  const auto subscriber = Subscriber(server.unix_socket());
  uint64_t version = 0;
  for (int i = 1; i <= 200; ++i) {
    WatchEvents ended, log;
    const WatchScope scope = {.key = "k", .prefix = i % 2 == 0};
    Watch(*subscriber, scope, ended).reset();
    const auto watch = Watch(*subscriber, scope, log);
    ASSERT_TRUE(log.AwaitBegun());
    // A second one may be on its way for the watch before; what matters is that
    // changes after the last one are told. What was told before it is not told
    // again, so each is another; those before `first` come late.
    const uint64_t first = version + 1;
    WatchEvents::Event last;
    const MonotonicTime deadline = Soon();
    do {
      ASSERT_LT(RealClock().Now(), deadline);
      Publish(server.unix_socket(), "k", absl::StrCat(++version));
      last = log.events().back();
    } while (last.kind != WatchEvent::Kind::kChanged || last.version < first);
    EXPECT_LE(last.version, version);
  }
}

TEST(RedisSubscriberTest, WhatAServerDoesNotTakeIsBounded) {
  RedisServerProcess server;
  const auto subscriber =
      Subscriber(server.tcp(), {.max_watches = 2, .patience = hours(1)});
  WatchEvents log, other;
  const auto watch = Watch(*subscriber, {.key = "k"}, log);
  ASSERT_TRUE(log.AwaitBegun());
  server.Stop();
  for (int i = 0; i < 10'000; ++i) {
    Watch(*subscriber, {.key = absl::StrCat("other/", i)}, other).reset();
  }
  EXPECT_THAT(log.AwaitBroken(),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("faster than the server took them")));
  server.Continue();
  EXPECT_TRUE(log.AwaitBegun());
}

// Lets one client in after the other, and when it subscribes, says to each what
// a test wants, and does what it wants.
class HostileServer {
 public:
  explicit HostileServer(
      std::vector<std::string> says,
      std::function<void(int client)> then =
          [](int client) { Hear(client, "nothing"); })  // until it hangs up
      : says_(std::move(says)),
        then_(std::move(then)),
        listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress any = SocketAddress::FromIp("127.0.0.1", 0).value();
    PCHECK(bind(listener_.get(), any.data(), any.length()) == 0);
    PCHECK(listen(listener_.get(), 8) == 0);
    SetPatience(listener_.get());
    thread_ = Thread::Start({.name = "hostile"}, [this] { Run(); }).value();
  }

  RedisAddress address() const {
    sockaddr_storage storage = {};
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    socklen_t length = sizeof(storage);
    PCHECK(getsockname(listener_.get(), address, &length) == 0);
    return {.host = "127.0.0.1",
            .port = SocketAddress::FromSockaddr(address, length)->port()};
  }

  // Until all clients have come and gone.
  void Join() { thread_.Join(); }

  static void Say(int fd, const std::string& text) {
    send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  }

  static bool Hear(int fd, absl::string_view word) {
    std::string heard;
    while (!absl::StrContains(heard, word)) {
      char some[4096];
      const ssize_t got = recv(fd, some, sizeof(some), 0);
      if (got <= 0) return false;
      heard.append(some, static_cast<size_t>(got));
    }
    return true;
  }

 private:
  static void SetPatience(int fd) {
    const timeval patience = {.tv_sec = 60, .tv_usec = 0};
    PCHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                      sizeof(patience)) == 0);
  }

  void Run() {
    for (const std::string& text : says_) {
      const UniqueFd client(
          accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.valid()) return;
      SetPatience(client.get());
      if (!Hear(client.get(), "SELECT")) continue;
      Say(client.get(), "+OK\r\n");
      if (!Hear(client.get(), "subscribe")) continue;
      Say(client.get(), text);
      then_(client.get());
    }
  }

  const std::vector<std::string> says_;
  const std::function<void(int client)> then_;
  const UniqueFd listener_;
  Thread thread_;
};

// The client asks for a sign of life next, not for the watch again.
TEST(RedisSubscriberTest, ARefusalMayComeAfterTheWatch) {
  for (const bool prefix : {false, true}) {
    Mutex mutex;
    std::unique_ptr<StoreWatch> watch;
    HostileServer server({""}, [&](int client) {
      {
        MutexLock lock(mutex);
        watch.reset();
      }
      EXPECT_TRUE(HostileServer::Hear(client, "unsubscribe"));
      HostileServer::Say(client, "-NOPERM no\r\n-NOPERM no\r\n");
      EXPECT_TRUE(HostileServer::Hear(client, "ping"));
    });
    const auto subscriber =
        Subscriber(server.address(),
                   {.silence = milliseconds(200), .retry = milliseconds(1)});
    WatchEvents log;
    {
      MutexLock lock(mutex);
      watch = Watch(*subscriber, {.key = "k", .prefix = prefix}, log);
    }
    server.Join();
    watch.reset();
  }
}

std::string Array(const std::vector<std::string>& words) {
  std::string text = absl::StrCat("*", words.size(), "\r\n");
  for (const std::string& word : words) {
    absl::StrAppend(&text, "$", word.size(), "\r\n", word, "\r\n");
  }
  return text;
}

TEST(RedisSubscriberTest, NothingThatAServerSaysBreaksIt) {
  const std::string channel = "te/changed/0/k";
  const std::string answer =
      absl::StrCat("*3\r\n$9\r\nsubscribe\r\n$14\r\n", channel, "\r\n:1\r\n");
  const std::vector<std::string> nonsense = {
      "hello\r\n",
      std::string(1000, '\0'),
      ":5\r\n",
      "+OK\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "*0\r\n",
      "*1000000000\r\n",
      "*1\r\n*1\r\n*1\r\n:1\r\n",
      "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
      "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n",
      "*3\r\n$11\r\nunsubscribe\r\n$14\r\nte/changed/0/k\r\n:1\r\n",
      "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n",
      Array({"message", channel}),
      Array({"message", channel, "1", "2"}),
      Array({"pmessage", channel, "1"}),
      answer + answer,
      answer + "-ERR nobody asked\r\n",
  };
  std::string good = answer;
  for (const std::vector<std::string>& ignored :
       std::vector<std::vector<std::string>>{
           {"message", channel, ""},
           {"message", channel, "-1"},
           {"message", channel, "x"},
           {"message", channel, "99999999999999999999"},
           {"message", "te/changed/0/", "1"},
           {"message", "te/changed/0", "1"},
           {"message", "te/changed/1/k", "1"},
           {"message", "te/changed/0/" + std::string(1025, 'k'), "1"},
           {"pmessage", "te/changed/0/k", "elsewhere", "1"},
       }) {
    good += Array(ignored);
  }
  std::vector<std::string> says = nonsense;
  says.push_back(good + Array({"message", channel, "7"}));
  const HostileServer server(says);
  const auto subscriber = Subscriber(server.address());
  WatchEvents log;
  const auto watch = Watch(*subscriber, {.key = "k"}, log);
  for (const std::string& text : nonsense) {
    SCOPED_TRACE(text);
    EXPECT_THAT(log.AwaitBroken(), StatusIs(absl::StatusCode::kDataLoss));
  }
  EXPECT_TRUE(log.AwaitBegun());
  EXPECT_TRUE(log.AwaitChange("k", 7));
  for (const WatchEvents::Event& event : log.events()) {
    if (event.kind != WatchEvent::Kind::kChanged) continue;
    EXPECT_EQ(event.version, 7u);
  }
}

}  // namespace
}  // namespace te
