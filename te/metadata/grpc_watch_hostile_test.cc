// Watches whose other end does what it should not.

#include <stdint.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/grpc_watcher.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_test_server.h"
#include "te/metadata/watch_events.h"

namespace te {
namespace {

using metadata::v1::WatchRequest;
using metadata::v1::WatchResponse;
using std::chrono::seconds;
using ::testing::HasSubstr;

// A client that writes what it likes.
class RawClient {
 public:
  explicit RawClient(const MetadataTestServer& server)
      : stub_(metadata::v1::Metadata::NewStub(
            grpc::CreateChannel(server.address().servers.front().ToString(),
                                grpc::InsecureChannelCredentials()))),
        stream_(stub_->Watch(&context_)) {}
  ~RawClient() { context_.TryCancel(); }

  bool Begin(uint64_t id, const std::string& key, bool prefix = false) {
    WatchRequest request;
    request.set_id(id);
    request.mutable_begin()->set_key(key);
    request.mutable_begin()->set_prefix(prefix);
    return stream_->Write(request);
  }
  bool End(uint64_t id) {
    WatchRequest request;
    request.set_id(id);
    request.mutable_end();
    return stream_->Write(request);
  }
  bool Write(const WatchRequest& request) { return stream_->Write(request); }
  // The next answer; empty when there is none any more.
  WatchResponse Read() {
    WatchResponse response;
    if (!stream_->Read(&response)) response.Clear();
    return response;
  }
  // Reads what there is to the end.
  grpc::StatusCode Finish() {
    while (Read().id() != 0) continue;
    return stream_->Finish().error_code();
  }

 private:
  const std::unique_ptr<metadata::v1::Metadata::Stub> stub_;
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<WatchRequest, WatchResponse>>
      stream_;
};

TEST(HostileWatcherTest, RequestsThatMakeNoSenseEndTheStream) {
  const std::function<void(RawClient&)> kCases[] = {
      [](RawClient& client) { client.Begin(1, "again"); },
      [](RawClient& client) { client.Begin(0, "k"); },
      [](RawClient& client) { client.End(2); },
      [](RawClient& client) { client.Write({}); },
  };
  MetadataTestServer server;
  for (const auto& send : kCases) {
    RawClient client(server);
    ASSERT_TRUE(client.Begin(1, "k"));
    EXPECT_TRUE(client.Read().has_begun());
    send(client);
    EXPECT_EQ(client.Finish(), grpc::StatusCode::INVALID_ARGUMENT)
        << &send - kCases;
  }
}

TEST(HostileWatcherTest, BadScopesAreRefused) {
  MetadataTestServer server;
  RawClient client(server);
  uint64_t id = 0;
  for (const std::string& key :
       {std::string(), std::string(MetadataStore::kMaxKeyBytes + 1, 'k')}) {
    ASSERT_TRUE(client.Begin(++id, key));
    const WatchResponse response = client.Read();
    EXPECT_EQ(response.id(), id);
    EXPECT_EQ(response.broken().code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_TRUE(response.broken().refused());
    // What has not begun can be ended all the same.
    ASSERT_TRUE(client.End(id));
  }
  ASSERT_TRUE(client.Begin(++id, "k"));
  EXPECT_TRUE(client.Read().has_begun());
}

TEST(HostileWatcherTest, RefusalsThatAreNotReadHoldUpTheirReaderAlone) {
  constexpr uint64_t kWatches = 20'000;
  MetadataTestServer server({.service = {.max_watches = 0}});
  RawClient client(server);
  TE_ASSERT_OK_AND_ASSIGN(
      const Thread writer, Thread::Start({.name = "writer"}, [&client] {
        const std::string key(MetadataStore::kMaxKeyBytes, 'k');
        for (uint64_t id = 1; id <= kWatches; ++id) client.Begin(id, key);
      }));
  for (uint64_t id = 1; id <= kWatches; ++id) {
    const WatchResponse response = client.Read();
    ASSERT_EQ(response.id(), id);
    ASSERT_TRUE(response.broken().refused());
  }
}

// Changes more than sockets hold, all of which nobody reads.
void ChangeMuch(MetadataTestServer& server) {
  const std::string filler(1000, 'x');
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = absl::StrCat("k", i, filler);
    TE_ASSERT_OK(server.store().Put(key, {}, {}, kNoDeadline));
    TE_ASSERT_OK(server.store().Remove(key, std::nullopt, kNoDeadline));
  }
}

TEST(HostileWatcherTest, ASlowReaderLearnsThatItHasMissedSomething) {
  MetadataTestServer server;
  RawClient slow(server);
  ASSERT_TRUE(slow.Begin(1, "k", true));
  EXPECT_TRUE(slow.Read().has_begun());
  ChangeMuch(server);
  // Others do not wait for it.
  const auto store = ConnectTo(server.address());
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store->Watch({.key = "last"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          server.store().Put("last", {}, {}, kNoDeadline));
  EXPECT_TRUE(events.AwaitChange("last", version));
  int changes = 0;
  for (WatchResponse r = slow.Read(); !r.has_begun(); r = slow.Read()) {
    ASSERT_TRUE(r.has_changed());
    ++changes;
  }
  EXPECT_LT(changes, 20'000);
  // What is on its way may tell of older changes yet, or that some were missed.
  WatchResponse last;
  do {
    TE_ASSERT_OK(server.store().Put("k", {}, {}, kNoDeadline));
    last = slow.Read();
    ASSERT_EQ(last.id(), 1u);
  } while (last.changed().key() != "k");
}

TEST(HostileWatcherTest, ASilentReaderDoesNotHoldUpTheServersEnd) {
  MetadataTestServer server;
  RawClient silent(server);
  ASSERT_TRUE(silent.Begin(1, "k", true));
  EXPECT_TRUE(silent.Read().has_begun());
  ChangeMuch(server);
  const MonotonicTime deadline = RealClock().Now() + seconds(60);
  server.service().EndWatches();
  server.server().Shutdown(deadline);
  EXPECT_LT(RealClock().Now(), deadline - seconds(30));
  EXPECT_NE(silent.Finish(), grpc::StatusCode::OK);
}

// Answers each watch with something, and says no more.
class WrongService final : public metadata::v1::Metadata::Service {
 public:
  grpc::Status Watch(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<WatchResponse, WatchRequest>* stream) override {
    WatchRequest request;
    while (stream->Read(&request)) {
      MutexLock lock(mutex_);
      if (answer_) answer_(request.id(), *stream);
    }
    return grpc::Status::OK;
  }

  using Stream = grpc::ServerReaderWriter<WatchResponse, WatchRequest>;
  void SetAnswer(std::function<void(uint64_t, Stream&)> answer) {
    MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }

 private:
  Mutex mutex_;
  std::function<void(uint64_t, Stream&)> answer_ ABSL_GUARDED_BY(mutex_);
};

TEST(HostileServerTest, EventsThatMakeNoSenseAreDataLoss) {
  const std::function<void(WatchResponse&)> kCases[] = {
      [](WatchResponse& r) { r.clear_id(), r.mutable_begun(); },
      [](WatchResponse& r) { r.set_id(r.id() + 1), r.mutable_begun(); },
      [](WatchResponse&) {},
      [](WatchResponse& r) { r.mutable_changed()->set_key("other"); },
      [](WatchResponse& r) { r.mutable_changed(); },
      [](WatchResponse& r) {
        r.mutable_changed()->set_key("p/" + std::string(2000, 'x'));
      },
      [](WatchResponse& r) { r.mutable_broken(); },
  };
  for (const auto& spoil : kCases) {
    WrongService service;
    service.SetAnswer([&](uint64_t id, WrongService::Stream& stream) {
      WatchResponse response;
      response.set_id(id);
      spoil(response);
      stream.Write(response);
    });
    MetadataTestServer server({.instead = &service});
    WatchEvents events;
    GrpcWatcher watcher("server", server.address().servers, {});
    TE_ASSERT_OK_AND_ASSIGN(
        auto watch,
        watcher.Watch({.key = "p/", .prefix = true}, events.callback()));
    EXPECT_THAT(events.AwaitBroken(), StatusIs(absl::StatusCode::kDataLoss,
                                               HasSubstr("server tells")))
        << &spoil - kCases;
  }
}

TEST(HostileServerTest, UnknownCodesAreErrors) {
  WrongService service;
  service.SetAnswer([](uint64_t id, WrongService::Stream& stream) {
    WatchResponse response;
    response.set_id(id);
    response.mutable_broken()->set_code(77);
    response.mutable_broken()->set_message("\xff\n");
    stream.Write(response);
  });
  MetadataTestServer server({.instead = &service});
  WatchEvents events;
  GrpcWatcher watcher("server", server.address().servers, {});
  TE_ASSERT_OK_AND_ASSIGN(auto watch,
                          watcher.Watch({.key = "k"}, events.callback()));
  EXPECT_THAT(events.AwaitBroken(), StatusIs(absl::StatusCode::kUnknown));
}

// Tells of a watch that the client has ended: too late, and no error.
TEST(HostileServerTest, LateEventsAreNoErrors) {
  WrongService service;
  service.SetAnswer([](uint64_t id, WrongService::Stream& stream) {
    for (uint64_t i = 1; i <= id; ++i) {
      WatchResponse response;
      response.set_id(i);
      response.mutable_begun();
      stream.Write(response);
    }
  });
  MetadataTestServer server({.instead = &service});
  WatchEvents first, second;
  GrpcWatcher watcher("server", server.address().servers, {});
  TE_ASSERT_OK_AND_ASSIGN(auto a,
                          watcher.Watch({.key = "a"}, first.callback()));
  ASSERT_TRUE(first.AwaitBegun());
  a.reset();
  TE_ASSERT_OK_AND_ASSIGN(auto b,
                          watcher.Watch({.key = "b"}, second.callback()));
  EXPECT_TRUE(second.AwaitBegun());
  EXPECT_EQ(first.count(), 1u);
}

// One that ends while its refusal is looked at must not be asked for again: it
// is not there any more. For longer than until the client asks again.
TEST(HostileServerTest, WatchesMayEndAsTheyAreRefused) {
  WrongService service;
  service.SetAnswer([](uint64_t id, WrongService::Stream& stream) {
    WatchResponse response;
    response.set_id(id);
    response.mutable_broken()->set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
    response.mutable_broken()->set_refused(true);
    stream.Write(response);
  });
  MetadataTestServer server({.instead = &service});
  GrpcWatcher watcher("server", server.address().servers, {});
  const MonotonicTime end = RealClock().Now() + seconds(1);
  std::vector<Thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.push_back(*Thread::Start({.name = "watcher"}, [&, t] {
      std::deque<std::unique_ptr<StoreWatch>> watches;
      for (int i = 0; RealClock().Now() < end; ++i) {
        auto watch = watcher.Watch({.key = absl::StrCat(t, "/", i)},
                                   [](const WatchEvent&) {});
        TE_ASSERT_OK(watch);
        watches.push_back(*std::move(watch));
        if (watches.size() > 8) watches.pop_front();
      }
    }));
  }
  threads.clear();
  // The stream is still of use.
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          watcher.Watch({.key = "k"}, events.callback()));
  EXPECT_THAT(events.AwaitBroken(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(HostileServerTest, AnOldServerKnowsNoWatches) {
  metadata::v1::Metadata::Service old;
  MetadataTestServer server({.instead = &old});
  WatchEvents first, second;
  GrpcWatcher watcher("server", server.address().servers, {});
  TE_ASSERT_OK_AND_ASSIGN(auto a,
                          watcher.Watch({.key = "a"}, first.callback()));
  EXPECT_THAT(first.AwaitBroken(), StatusIs(absl::StatusCode::kUnimplemented));
  // Though it is not asked again soon.
  TE_ASSERT_OK_AND_ASSIGN(auto b,
                          watcher.Watch({.key = "b"}, second.callback()));
  EXPECT_THAT(second.AwaitBroken(), StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace te
