// What an engine knows of segments that change while they are open.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

// Another store, whose calls are counted. Watches are no calls.
class CountingStore final : public MetadataStore {
 public:
  explicit CountingStore(std::shared_ptr<MetadataStore> store)
      : store_(std::move(store)) {}

  absl::StatusOr<uint64_t> Put(absl::string_view key,
                               absl::Span<const ValuePartView> parts,
                               const PutOptions& options,
                               MonotonicTime deadline) override {
    ++calls;
    return store_->Put(key, parts, options, deadline);
  }
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override {
    ++calls;
    return store_->Renew(key, version, lease, deadline);
  }
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  const GetOptions& options,
                                  MonotonicTime deadline) override {
    ++calls;
    return store_->Get(key, options, deadline);
  }
  absl::StatusOr<KeyList> List(absl::string_view prefix,
                               absl::string_view after,
                               MonotonicTime deadline) override {
    ++calls;
    return store_->List(prefix, after, deadline);
  }
  absl::Status Remove(absl::string_view key, std::optional<uint64_t> expected,
                      MonotonicTime deadline) override {
    ++calls;
    return store_->Remove(key, expected, deadline);
  }
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) override {
    return store_->Watch(scope, std::move(on_event));
  }

  std::atomic<int> calls{0};

 private:
  const std::shared_ptr<MetadataStore> store_;
};

// Hears of no changes, as where there is no metadata store. A test can have
// something happen during one look-up.
class DeafResolver final : public SegmentResolver {
 public:
  explicit DeafResolver(std::shared_ptr<MetadataStore> store)
      : store_(std::move(store)) {}

  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view name,
                                         const SegmentSnapshot* known,
                                         MonotonicTime deadline) override {
    auto found = store_.Lookup(name, known, deadline);
    if (armed.exchange(false)) before_lookup_returns();
    return found;
  }
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override {
    return store_.Publish(descriptor, deadline);
  }
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override {
    return store_.Withdraw(name, incarnation, deadline);
  }

  std::atomic<bool> armed{false};
  std::function<void()> before_lookup_returns;

 private:
  StoreSegmentResolver store_;
};

class SegmentChangesTest : public EngineFixture {
 protected:
  void SetUp() override {
    StartNode("server", kOptions, server_);
    StartClient(std::make_unique<StoreSegmentResolver>(counting_));
  }

  void StartClient(std::unique_ptr<SegmentResolver> resolver) {
    client_ = Node();
    StartNode("client", kOptions, client_, std::move(resolver));
    segment_ = Open("server");
  }
  void Await(const std::function<bool()>& condition) {
    const MonotonicTime deadline = Soon();
    while (!condition()) {
      ASSERT_LT(RealClock().Now(), deadline);
      std::this_thread::yield();
    }
  }
  std::shared_ptr<const SegmentDescriptor> Seen() {
    auto descriptor = client_.engine->DescribeSegment(segment_);
    TE_EXPECT_OK(descriptor);
    return *descriptor;
  }
  // Reopens the segment until the store is not asked any more.
  void AwaitCache() {
    Await([&] {
      const int before = counting_->calls;
      Reopen();
      return counting_->calls == before;
    });
  }
  void Reopen() {
    TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
    segment_ = Open("server");
  }

  static constexpr EngineOptions kOptions = {.slice_bytes = kSlice};
  const std::shared_ptr<CountingStore> counting_ =
      std::make_shared<CountingStore>(store_);
  std::vector<std::byte> more_ = std::vector<std::byte>(kBytes);
};

TEST_F(SegmentChangesTest, OpeningAnOpenSegmentAsksNobody) {
  AwaitCache();
  const int calls = counting_->calls;
  const int connects = network_->connects();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Open("server").value, segment_.value);
  EXPECT_EQ(counting_->calls, calls);
  EXPECT_EQ(network_->connects(), connects);
}

TEST_F(SegmentChangesTest, OpeningAKnownSegmentDoesNotAskTheStore) {
  AwaitCache();
  const int calls = counting_->calls;
  Reopen();
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}));
  EXPECT_EQ(counting_->calls, calls);
}

TEST_F(SegmentChangesTest, NewBuffersAreSeenByThemselves) {
  TE_ASSERT_OK(server_.engine->RegisterMemory(
      {.address = more_.data(), .length = more_.size()}));
  Request write = Write(0, 1);
  write.remote_address = reinterpret_cast<uint64_t>(more_.data());
  Await([&] { return Transfer({{write}}).ok(); });
  EXPECT_EQ(Seen()->buffers.size(), 2u);
}

TEST_F(SegmentChangesTest, BuffersThatAreGoneAreForgotten) {
  TE_ASSERT_OK(server_.engine->UnregisterMemory(server_.buffer, kEnough));
  Await([&] { return Seen()->buffers.empty(); });
  EXPECT_THAT(Transfer({{Write(0, 1)}}),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(SegmentChangesTest, ARefusalByThePeerIsNewsToo) {
  StartClient(std::make_unique<DeafResolver>(store_));
  TE_ASSERT_OK(server_.engine->UnregisterMemory(server_.buffer, kEnough));
  EXPECT_EQ(Seen()->buffers.size(), 1u);
  EXPECT_THAT(Transfer({{Write(0, 1)}}), StatusIs(absl::StatusCode::kNotFound));
  Await([&] { return Seen()->buffers.empty(); });
}

TEST_F(SegmentChangesTest, NewsIsNotLostToAReconnect) {
  const auto half = [this](size_t i) {
    return MemoryRegion{.address = &more_[i * kBytes / 2],
                        .length = kBytes / 2};
  };
  const auto write_to_half = [&](size_t i) {
    Request write = Write(0, 1);
    write.remote_address = reinterpret_cast<uint64_t>(half(i).address);
    return Transfer({{write}});
  };
  TE_ASSERT_OK(server_.engine->RegisterMemory(half(0)));
  auto owned = std::make_unique<DeafResolver>(store_);
  DeafResolver& resolver = *owned;
  StartClient(std::move(owned));
  TE_ASSERT_OK(server_.engine->RegisterMemory(half(1)));
  TE_ASSERT_OK(server_.engine->UnregisterMemory(server_.buffer, kEnough));
  std::atomic<bool> reconnected = false;
  resolver.before_lookup_returns = [&] {
    server_.transport->DisconnectPeers();
    TE_EXPECT_OK(write_to_half(0));
    reconnected = true;
  };
  resolver.armed = true;
  // The refusal makes the client look, and meanwhile its rail breaks.
  EXPECT_THAT(Transfer({{Write(0, 1)}}), StatusIs(absl::StatusCode::kNotFound));
  Await([&] { return reconnected.load(); });
  Await([&] { return write_to_half(1).ok(); });
}

// The peer changes after it was looked up, and before it is connected to.
TEST_F(SegmentChangesTest, NewsIsNotLostToAConnect) {
  TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
  std::atomic<bool> registered = false;
  network_->set_on_connect([&] {
    if (registered.exchange(true)) return;
    TE_EXPECT_OK(server_.engine->RegisterMemory(
        {.address = more_.data(), .length = more_.size()}));
    // Connecting takes longer than the news.
    const MonotonicTime end =
        RealClock().Now() + std::chrono::milliseconds(100);
    while (RealClock().Now() < end) std::this_thread::yield();
  });
  segment_ = Open("server");
  Await([&] { return Seen()->buffers.size() == 2; });
}

TEST_F(SegmentChangesTest, OpenSegmentsAreWatchedHoweverManyComeAndGo) {
  // One engine has all of the names: they are told apart by these alone.
  Node other;
  StartNode("other", kOptions, other);
  StoreSegmentResolver resolver(store_);
  TE_ASSERT_OK_AND_ASSIGN(SegmentSnapshot published,
                          resolver.Lookup("other", nullptr, Soon()));
  for (int i = 0; i < 300; ++i) {
    SegmentDescriptor& descriptor = published.descriptor;
    descriptor.name = absl::StrCat("other-", i);
    TE_ASSERT_OK(resolver.Publish(descriptor, Soon()));
    TE_ASSERT_OK(client_.engine->CloseSegment(Open(descriptor.name)));
    TE_ASSERT_OK(
        resolver.Withdraw(descriptor.name, descriptor.incarnation, Soon()));
  }
  TE_ASSERT_OK(server_.engine->RegisterMemory(
      {.address = more_.data(), .length = more_.size()}));
  Await([&] { return Seen()->buffers.size() == 2; });
}

// Requests are meant for one incarnation, and the next one is not a change of
// it.
TEST_F(SegmentChangesTest, ASuccessorIsOpenedAndNotFollowed) {
  const Incarnation first = Seen()->incarnation;
  AwaitCache();
  int calls = counting_->calls;
  TE_ASSERT_OK(StoreSegmentResolver(store_).Withdraw("server", first, Soon()));
  Await([&] { return counting_->calls > calls; });
  Node successor;
  StartNode("server", kOptions, successor);
  // The next change of the segment that the client hears of.
  calls = counting_->calls;
  TE_ASSERT_OK(successor.engine->RegisterMemory(
      {.address = more_.data(), .length = more_.size()}));
  // The second look-up begins when the first has been used, or not.
  Await([&] { return counting_->calls > calls; });
  calls = counting_->calls;
  TE_ASSERT_OK(successor.engine->RegisterMemory(
      {.address = more_.data(), .length = more_.size()}));
  Await([&] { return counting_->calls > calls; });
  EXPECT_EQ(Seen()->incarnation, first);
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}));

  server_.transport->DisconnectPeers();
  server_.engine.reset();
  Await([&] { return !client_.engine->Status().segments[0].health.ok(); });
  Open("server");
  EXPECT_EQ(Seen()->incarnation, successor.engine->Status().incarnation);
}

}  // namespace
}  // namespace te
