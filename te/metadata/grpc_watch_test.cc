// Watches over real connections, to a server in this process.

#include <stdint.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_test_server.h"
#include "te/metadata/value_part.h"
#include "te/metadata/watch_events.h"

namespace te {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + seconds(60); }

TEST(GrpcWatchTest, SurvivesItsServer) {
  auto server = std::make_unique<MetadataTestServer>();
  const PortRange ports = server->ports();
  const auto store = ConnectTo(server->address());
  WatchEvents before, during;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "k"}, before.callback()));
  ASSERT_TRUE(before.AwaitBegun());
  server.reset();
  EXPECT_THAT(before.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  // One that begins now is told the same.
  TE_ASSERT_OK_AND_ASSIGN(
      const auto other,
      store->Watch({.key = "p/", .prefix = true}, during.callback()));
  EXPECT_THAT(during.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  server = std::make_unique<MetadataTestServer>(
      MetadataTestServerOptions{.ports = ports});
  ASSERT_TRUE(before.AwaitBegun());
  ASSERT_TRUE(during.AwaitBegun());
  for (const auto& [key, events] :
       {std::pair("k", &before), std::pair("p/1", &during)}) {
    TE_ASSERT_OK_AND_ASSIGN(
        const uint64_t version,
        server->store().Put(key, {{0, "1"}}, {}, kNoDeadline));
    EXPECT_TRUE(events->AwaitChange(key, version));
  }
}

// A store that hears of nothing.
class SilentStore final : public MetadataStore {
 public:
  absl::StatusOr<uint64_t> Put(absl::string_view,
                               absl::Span<const ValuePartView>,
                               const PutOptions&, MonotonicTime) override {
    return absl::UnimplementedError("");
  }
  absl::Status Renew(absl::string_view, uint64_t, Duration,
                     MonotonicTime) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<StoredValue> Get(absl::string_view key, const GetOptions&,
                                  MonotonicTime) override {
    return KeyNotFound(key);
  }
  absl::StatusOr<KeyList> List(absl::string_view, absl::string_view,
                               MonotonicTime) override {
    return absl::UnimplementedError("");
  }
  absl::Status Remove(absl::string_view, std::optional<uint64_t>,
                      MonotonicTime) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(const WatchScope&,
                                                    WatchCallback) override {
    return std::make_unique<Counted>(*this);
  }

  // Until so many are there.
  bool AwaitWatches(int count) {
    MutexLock lock(mutex_);
    const MonotonicTime deadline = Soon();
    while (watches_ != count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }

 private:
  class Counted final : public StoreWatch {
   public:
    explicit Counted(SilentStore& store) : store_(store) { store_.Add(1); }
    ~Counted() override { store_.Add(-1); }

   private:
    SilentStore& store_;
  };

  void Add(int count) {
    MutexLock lock(mutex_);
    watches_ += count;
    changed_.NotifyAll();
  }

  Mutex mutex_;
  CondVar changed_;
  int watches_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST(GrpcWatchTest, AStoreThatSaysNothingHoldsUpNobody) {
  SilentStore silent;
  MetadataTestServer server({.store = &silent});
  const auto store = ConnectTo(server.address());
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(auto first,
                          store->Watch({.key = "a"}, events.callback()));
  TE_ASSERT_OK_AND_ASSIGN(const auto second,
                          store->Watch({.key = "b"}, events.callback()));
  EXPECT_TRUE(silent.AwaitWatches(2));
  EXPECT_THAT(store->Get("k", {}, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
  first.reset();
  EXPECT_TRUE(silent.AwaitWatches(1));
  EXPECT_EQ(events.count(), 0u);
  server.service().EndWatches();
  EXPECT_TRUE(silent.AwaitWatches(0));
}

TEST(GrpcWatchTest, AClientThatGoesEndsItsWatches) {
  SilentStore silent;
  MetadataTestServer server({.store = &silent});
  auto store = ConnectTo(server.address());
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(auto watch,
                          store->Watch({.key = "a"}, events.callback()));
  EXPECT_TRUE(silent.AwaitWatches(1));
  watch.reset();
  store.reset();
  EXPECT_TRUE(silent.AwaitWatches(0));
}

TEST(GrpcWatchTest, OneWatchTooManyWaits) {
  MetadataTestServer server({.service = {.max_watches = 2}});
  const auto store = ConnectTo(server.address());
  const auto other = ConnectTo(server.address());
  WatchEvents a, b, c;
  TE_ASSERT_OK_AND_ASSIGN(auto first, store->Watch({.key = "a"}, a.callback()));
  TE_ASSERT_OK_AND_ASSIGN(const auto second,
                          other->Watch({.key = "b"}, b.callback()));
  ASSERT_TRUE(a.AwaitBegun());
  ASSERT_TRUE(b.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const auto third,
                          other->Watch({.key = "c"}, c.callback()));
  EXPECT_THAT(c.AwaitBroken(), StatusIs(absl::StatusCode::kResourceExhausted,
                                        HasSubstr("2 watches already")));
  first.reset();
  EXPECT_TRUE(c.AwaitBegun());
  EXPECT_EQ(b.count(), 1u);
}

TEST(GrpcWatchTest, TheStoresOwnLimitCountsToo) {
  InProcessStore inner({.max_watches = 1});
  MetadataTestServer server({.store = &inner});
  const auto store = ConnectTo(server.address());
  WatchEvents a, b;
  TE_ASSERT_OK_AND_ASSIGN(auto first, store->Watch({.key = "a"}, a.callback()));
  ASSERT_TRUE(a.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const auto second,
                          store->Watch({.key = "b"}, b.callback()));
  EXPECT_THAT(b.AwaitBroken(), StatusIs(absl::StatusCode::kResourceExhausted));
  first.reset();
  EXPECT_TRUE(b.AwaitBegun());
}

TEST(GrpcWatchTest, OneClientTooManyWaits) {
  MetadataTestServer server({.service = {.max_watch_streams = 1}});
  auto store = ConnectTo(server.address());
  const auto other = ConnectTo(server.address());
  WatchEvents a, b;
  TE_ASSERT_OK_AND_ASSIGN(auto first, store->Watch({.key = "k"}, a.callback()));
  ASSERT_TRUE(a.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const auto second,
                          other->Watch({.key = "k"}, b.callback()));
  EXPECT_THAT(b.AwaitBroken(), StatusIs(absl::StatusCode::kResourceExhausted,
                                        HasSubstr("1 clients that watch")));
  first.reset();
  store.reset();
  EXPECT_TRUE(b.AwaitBegun());
}

// More clients than the server has threads.
TEST(GrpcWatchTest, WatchersOccupyNoThreads) {
  constexpr int kClients = 50;
  MetadataTestServer server({.threads = 2});
  std::vector<std::unique_ptr<GrpcStore>> stores;
  std::vector<WatchEvents> events(kClients);
  std::vector<std::unique_ptr<StoreWatch>> watches;
  for (WatchEvents& e : events) {
    stores.push_back(ConnectTo(server.address()));
    for (const char* key : {"k", "own", "p/"}) {
      TE_ASSERT_OK_AND_ASSIGN(
          auto watch,
          stores.back()->Watch({.key = key, .prefix = false}, e.callback()));
      watches.push_back(std::move(watch));
    }
  }
  for (WatchEvents& e : events) {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(e.AwaitBegun());
  }
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          stores[0]->Put("k", {{0, "1"}}, {}, Soon()));
  for (WatchEvents& e : events) ASSERT_TRUE(e.AwaitChange("k", version));
}

TEST(GrpcWatchTest, BeginningAndEndAreReported) {
  Mutex mutex;
  CondVar changed;
  std::vector<std::string> calls;
  MetadataTestServer server(
      {.service = {
           .max_watches = 1, .on_access = [&](const MetadataAccess& access) {
             if (access.method != "Watch") return;
             MutexLock lock(mutex);
             calls.push_back(
                 absl::StrCat(access.key, " ", access.peer.substr(0, 5),
                              absl::StatusCodeToString(access.status.code())));
             changed.NotifyAll();
           }}});
  const auto store = ConnectTo(server.address());
  const auto await_calls = [&](size_t count) {
    MutexLock lock(mutex);
    while (calls.size() < count) {
      if (!changed.WaitUntil(mutex, Soon())) break;
    }
    return calls;
  };
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(auto a,
                          store->Watch({.key = "a"}, events.callback()));
  EXPECT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(auto b,
                          store->Watch({.key = "b"}, events.callback()));
  EXPECT_THAT(await_calls(2),
              ElementsAre("a ipv4:OK", "b ipv4:RESOURCE_EXHAUSTED"));
  b.reset();
  a.reset();
  EXPECT_EQ(await_calls(3).back(), "a ipv4:OK");
}

TEST(GrpcWatchTest, AServerWithWatchesStopsAtOnce) {
  MetadataTestServer server;
  const auto store = ConnectTo(server.address());
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  const MonotonicTime deadline = Soon();
  server.service().EndWatches();
  server.server().Shutdown(deadline);
  EXPECT_LT(RealClock().Now(), deadline - seconds(30));
  EXPECT_THAT(events.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(GrpcWatchTest, AClientWhoseServerIsGoneEndsAtOnce) {
  auto server = std::make_unique<MetadataTestServer>();
  auto store = ConnectTo(server->address());
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(auto watch,
                          store->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  server.reset();
  EXPECT_FALSE(events.AwaitBroken().ok());
  const MonotonicTime before = RealClock().Now();
  watch.reset();
  store.reset();
  EXPECT_LT(RealClock().Now() - before, seconds(30));
}

// Watches come and go on several threads while keys change and the server ends
// its streams; in the end all is as it should be.
TEST(GrpcWatchTest, ComingAndGoing) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 100;
  MetadataTestServer server;
  const auto store = ConnectTo(server.address());
  std::atomic<bool> done = false;
  TE_ASSERT_OK_AND_ASSIGN(
      Thread writer, Thread::Start({.name = "writer"}, [&] {
        while (!done) {
          TE_EXPECT_OK(server.store().Put("k/1", {{0, "1"}}, {}, kNoDeadline));
        }
      }));
  std::vector<Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(*Thread::Start({.name = "watcher"}, [&] {
      for (int round = 0; round < kRounds; ++round) {
        WatchEvents one, all;
        auto first = store->Watch({.key = "k/1"}, one.callback());
        auto second =
            store->Watch({.key = "k/", .prefix = true}, all.callback());
        TE_ASSERT_OK(first);
        TE_ASSERT_OK(second);
        if (round % 2 == 0) {
          EXPECT_TRUE(one.AwaitBegun());
          EXPECT_TRUE(all.AwaitBegun());
        }
      }
    }));
  }
  threads.clear();
  done = true;
  writer.Join();
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "k/1"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t version,
      server.store().Put("k/1", {{0, "2"}}, {}, kNoDeadline));
  EXPECT_TRUE(events.AwaitChange("k/1", version));
}

}  // namespace
}  // namespace te
