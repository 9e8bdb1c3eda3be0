// The engine over fake transports, whose every failure is scripted; the control
// plane is real.
#include "te/core/transfer_engine.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/core/batch.h"
#include "te/core/engine_options.h"
#include "te/core/request.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr Duration kEnough = seconds(60);
constexpr uint32_t kSlice = 4096;
constexpr size_t kBytes = 1 << 20;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

absl::Status Unavailable(uint64_t /*index*/ = 0) {
  return absl::UnavailableError("scripted");
}

// Two engines in one process.
class TransferEngineTest : public testing::Test {
 protected:
  struct Node {
    std::vector<std::byte> memory = std::vector<std::byte>(kBytes);
    FakeTransport* transport = nullptr;
    std::unique_ptr<TransferEngine> engine;
    BufferId buffer;
  };

  void SetUp() override { Start({}); }

  void Start(EngineOptions options) {
    options.slice_bytes = kSlice;
    client_ = Node();
    server_ = Node();
    StartNode("client", options, client_);
    StartNode("server", options, server_);
    segment_ = Open("server");
    for (size_t i = 0; i < kBytes; ++i) {
      client_.memory[i] = static_cast<std::byte>(i * 7 >> 4);
    }
  }

  void StartNode(const std::string& name, const EngineOptions& options,
                 Node& node) {
    EngineParts parts;
    parts.resolver = std::make_unique<StoreSegmentResolver>(store_);
    parts.control.address = *SocketAddress::FromIp("127.0.0.1", 0);
    parts.advertised_host = "127.0.0.1";
    parts.segment_name = name;
    parts.transports.push_back(
        [&](const Incarnation& self, ExposedMemory& memory)
            -> absl::StatusOr<std::unique_ptr<Transport>> {
          auto transport =
              std::make_unique<FakeTransport>(network_, self, memory);
          node.transport = transport.get();
          return transport;
        });
    TE_ASSERT_OK_AND_ASSIGN(node.engine,
                            TransferEngine::Create(options, std::move(parts)));
    TE_ASSERT_OK_AND_ASSIGN(node.buffer, node.engine->RegisterMemory(
                                             {.address = node.memory.data(),
                                              .length = node.memory.size()}));
  }

  SegmentId Open(const std::string& name) {
    auto id = client_.engine->OpenSegment(name, kEnough);
    TE_EXPECT_OK(id);
    return id.value_or(SegmentId{});
  }

  Request Write(size_t offset, uint64_t length) {
    return {.operation = Operation::kWrite,
            .local = client_.memory.data() + offset,
            .segment = segment_,
            .remote_address =
                reinterpret_cast<uint64_t>(server_.memory.data()) + offset,
            .length = length};
  }
  // Four requests of two slices each.
  std::vector<Request> FourWrites() {
    std::vector<Request> requests;
    for (size_t i = 0; i < 4; ++i) {
      requests.push_back(Write(i * 2 * kSlice, 2 * kSlice));
    }
    return requests;
  }
  Batch Submit(absl::Span<const Request> requests,
               const SubmitOptions& options = {}) {
    auto batch = client_.engine->Submit(requests, options);
    TE_EXPECT_OK(batch);
    return batch.ok() ? *std::move(batch) : Batch();
  }
  absl::Status Transfer(absl::Span<const Request> requests,
                        const SubmitOptions& options = {}) {
    Batch batch = Submit(requests, options);
    EXPECT_TRUE(batch.Wait(Soon()));
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(batch.result(i).local_reusable);
      if (batch.result(i).status.ok()) {
        EXPECT_EQ(batch.result(i).bytes, requests[i].length);
      }
    }
    return batch.status();
  }
  // Lets go of what the network holds.
  void Release() {
    network_->Release();
    TE_EXPECT_OK(Transfer({{Write(0, 1)}}));
  }
  bool Arrived(size_t bytes) {
    // Takes the lock under which the bytes were copied: ThreadSanitizer does
    // not see that what came over gRPC came later.
    network_->slices();
    return memcmp(client_.memory.data(), server_.memory.data(), bytes) == 0;
  }

  std::shared_ptr<FakeNetwork> network_ = std::make_shared<FakeNetwork>();
  std::shared_ptr<InProcessStore> store_ = std::make_shared<InProcessStore>();
  Node server_;
  Node client_;
  SegmentId segment_;
};

TEST_F(TransferEngineTest, EverySliceMayFailOnce) {
  for (uint64_t failing = 0; failing < 8; ++failing) {
    memset(server_.memory.data(), 0, kBytes);
    const uint64_t before = network_->slices();
    network_->set_script([&](uint64_t i, const Slice&) {
      return i - before == failing ? Unavailable() : absl::OkStatus();
    });
    TE_EXPECT_OK(Transfer(FourWrites()));
    EXPECT_TRUE(Arrived(8 * kSlice));
    EXPECT_EQ(network_->slices() - before, 9u);
  }
}

TEST_F(TransferEngineTest, TheConnectionMayBreakAtEverySlice) {
  for (uint64_t failing = 0; failing < 8; ++failing) {
    memset(server_.memory.data(), 0, kBytes);
    const uint64_t before = network_->slices();
    network_->set_script([&](uint64_t i, const Slice&) {
      if (i - before == failing) server_.transport->DisconnectPeers();
      return absl::OkStatus();
    });
    TE_EXPECT_OK(Transfer(FourWrites()));
    EXPECT_TRUE(Arrived(8 * kSlice));
  }
}

TEST_F(TransferEngineTest, OtherErrorsAreNotRetried) {
  network_->set_script([](uint64_t i, const Slice&) {
    return i == 3 ? absl::DataLossError("scripted") : absl::OkStatus();
  });
  Batch batch = Submit(FourWrites());
  ASSERT_TRUE(batch.Wait(Soon()));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(batch.result(i).status.code(),
              i == 1 ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk);
  }
  EXPECT_EQ(batch.result(1).bytes, kSlice);
  EXPECT_EQ(network_->slices(), 8u);
}

TEST_F(TransferEngineTest, ASliceIsSentSoOftenAtMost) {
  network_->set_script([](uint64_t, const Slice&) { return Unavailable(); });
  EXPECT_THAT(Transfer({{Write(0, 10)}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("scripted")));
  EXPECT_EQ(network_->slices(), EngineOptions().max_slice_attempts);
}

TEST_F(TransferEngineTest, ReconnectsUntilItWorks) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(3, Unavailable());
  const int before = network_->connects();
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(network_->connects() - before, 4);
  EXPECT_TRUE(Arrived(8 * kSlice));
}

TEST_F(TransferEngineTest, GivesUpReconnectingInTheEnd) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(1'000'000, Unavailable());
  const int before = network_->connects();
  EXPECT_THAT(Transfer(FourWrites()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("cannot connect to segment server")));
  EXPECT_EQ(network_->connects() - before,
            EngineOptions().max_connect_attempts);
  network_->FailConnects(0, absl::OkStatus());
  TE_EXPECT_OK(Transfer(FourWrites()));
}

TEST_F(TransferEngineTest, CancelEndsWhatIsHeld) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  EXPECT_FALSE(batch.Wait(RealClock().Now()));
  EXPECT_FALSE(batch.result(0).local_reusable);
  batch.Cancel();
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(network_->slices(), 0u);
}

TEST_F(TransferEngineTest, CancelAndDeadlineEndWhatWaitsForTheConnection) {
  for (const bool cancel : {true, false}) {
    Start({.max_connect_attempts = 1000});
    server_.transport->DisconnectPeers();
    network_->FailConnects(1'000'000, Unavailable());
    const int before = network_->connects();
    SubmitOptions options;
    if (!cancel) options.timeout = milliseconds(50);
    Batch batch = Submit(FourWrites(), options);
    if (cancel) {
      while (network_->connects() < before + 2) std::this_thread::yield();
      batch.Cancel();
    }
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_THAT(batch.status(),
                StatusIs(cancel ? absl::StatusCode::kCancelled
                                : absl::StatusCode::kDeadlineExceeded));
    EXPECT_TRUE(batch.result(0).local_reusable);
    network_->FailConnects(0, absl::OkStatus());
  }
}

TEST_F(TransferEngineTest, ADeadlineEndsWhatIsHeldAndNothingElse) {
  network_->Hold();
  Batch patient = Submit({{Write(0, 100)}});
  SubmitOptions options;
  options.timeout = milliseconds(20);
  Batch hasty = Submit({{Write(kSlice, 100)}}, options);
  ASSERT_TRUE(hasty.Wait(Soon()));
  EXPECT_THAT(hasty.status(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                       HasSubstr("server")));
  EXPECT_FALSE(patient.finished());
  Release();
  ASSERT_TRUE(patient.Wait(Soon()));
  TE_EXPECT_OK(patient.status());
}

TEST_F(TransferEngineTest, LimitsAreStatuses) {
  Start({.max_slices = 10, .max_batches = 2});
  EXPECT_THAT(
      client_.engine->Submit({{Write(0, 11 * kSlice)}}),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_slices")));
  network_->Hold();
  {
    Batch first = Submit({{Write(0, 8 * kSlice)}});
    EXPECT_THAT(client_.engine->Submit({{Write(0, 3 * kSlice)}}),
                StatusIs(absl::StatusCode::kResourceExhausted));
    Batch second = Submit({{Write(0, 2 * kSlice)}});
    EXPECT_THAT(client_.engine->Submit({{Write(0, 1)}}),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("max_batches")));
    EXPECT_EQ(client_.engine->Status().slices_in_use, 10u);
    first.Cancel();
    second.Cancel();
    EXPECT_TRUE(first.Wait(Soon()) && second.Wait(Soon()));
  }
  EXPECT_EQ(client_.engine->Status().slices_in_use, 0u);
  EXPECT_EQ(client_.engine->Status().batches_in_use, 0u);
  network_->Release();
  TE_EXPECT_OK(Transfer({{Write(0, 10 * kSlice)}}));
  EXPECT_THAT(client_.engine->Submit({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(TransferEngineTest, WrongRequestsEndAloneInTheirBatch) {
  auto requests = FourWrites();
  std::vector<std::byte> unregistered(10);
  requests.push_back(Write(0, 0));
  requests.push_back(Write(kBytes - 1, 2));
  requests.push_back(Write(kBytes, 1));
  requests.push_back(Write(0, UINT64_MAX));
  requests.push_back(Write(0, 10));
  requests.back().local = unregistered.data();
  requests.push_back(Write(0, 10));
  requests.back().segment = SegmentId{999};
  const auto more = FourWrites();
  requests.insert(requests.end(), more.begin(), more.end());
  Batch batch = Submit(requests);
  ASSERT_TRUE(batch.Wait(Soon()));
  for (size_t i = 0; i < requests.size(); ++i) {
    const bool right = i < 4 || i >= requests.size() - 4;
    EXPECT_EQ(batch.result(i).status.ok(), right)
        << i << ": " << batch.result(i).status;
  }
  // A batch of nothing else ends, too.
  EXPECT_FALSE(Transfer({{Write(0, 0)}}).ok());
}

TEST_F(TransferEngineTest, ABatchMayHaveSeveralSegments) {
  Node third;
  StartNode("third", {.slice_bytes = kSlice}, third);
  auto requests = FourWrites();
  const SegmentId other = Open("third");
  for (const size_t i : {1, 3}) {
    requests[i].segment = other;
    requests[i].remote_address =
        reinterpret_cast<uint64_t>(third.memory.data()) + i * 2 * kSlice;
  }
  TE_EXPECT_OK(Transfer(requests));
  for (size_t i = 0; i < 4; ++i) {
    const auto& there = i % 2 == 1 ? third.memory : server_.memory;
    EXPECT_EQ(0, memcmp(there.data() + i * 2 * kSlice,
                        client_.memory.data() + i * 2 * kSlice, 2 * kSlice));
  }
  SubmitOptions options;
  options.notification = {.name = "n", .message = "m"};
  EXPECT_THAT(client_.engine->Submit(requests, options),
              StatusIs(absl::StatusCode::kInvalidArgument));
  TE_EXPECT_OK(client_.engine->CloseSegment(other));
}

TEST_F(TransferEngineTest, RequestsAreWaitedForOneByOne) {
  network_->set_script([this](uint64_t i, const Slice&) {
    if (i == 3) network_->Hold();  // the second request ends, not the third
    return absl::OkStatus();
  });
  Batch batch = Submit(FourWrites());
  EXPECT_TRUE(batch.Wait(1, Soon()));
  EXPECT_TRUE(batch.finished(0) && batch.finished(1));
  EXPECT_FALSE(batch.finished(2) || batch.finished(3) || batch.finished());
  EXPECT_FALSE(batch.Wait(2, RealClock().Now()));
  network_->set_script(nullptr);
  network_->Release();
  EXPECT_TRUE(batch.Wait(3, Soon()));
  EXPECT_TRUE(batch.Wait(Soon()));
}

TEST_F(TransferEngineTest, SignalsOnceAlsoWhenTheHandleIsGone) {
  const UniqueFd event(eventfd(0, EFD_NONBLOCK));
  std::atomic<int> calls = 0;
  network_->Hold();
  for (int i = 0; i < 3; ++i) {
    SubmitOptions options;
    options.event_fd = event.get();
    options.on_finished = [&] { ++calls; };
    Submit(FourWrites(), options);  // and drops it
  }
  EXPECT_EQ(calls, 0);
  Release();
  EXPECT_EQ(calls, 3);
  uint64_t signals = 0;
  ASSERT_EQ(read(event.get(), &signals, sizeof(signals)), 8);
  EXPECT_EQ(signals, 3u);
  EXPECT_EQ(client_.engine->Status().batches_in_use, 0u);
}

// Who has waited may close the eventfd, and destroy what on_finished uses.
TEST_F(TransferEngineTest, NothingIsSignalledAfterWait) {
  network_->Hold();
  std::atomic<bool> in_callback = false;
  std::atomic<bool> called = false;
  SubmitOptions options;
  options.on_finished = [&] {
    in_callback = true;
    for (int i = 0; i < 10'000; ++i) std::this_thread::yield();
    called = true;
  };
  Batch batch = Submit(FourWrites(), options);
  std::thread releaser([&] { Release(); });
  while (!in_callback) std::this_thread::yield();
  EXPECT_TRUE(batch.finished());
  EXPECT_TRUE(batch.Wait(Soon()));
  EXPECT_TRUE(called);
  releaser.join();
}

TEST_F(TransferEngineTest, ClosingTheSegmentEndsItsRequests) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  TE_EXPECT_OK(client_.engine->CloseSegment(segment_));
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(client_.engine->CloseSegment(segment_),
              StatusIs(absl::StatusCode::kNotFound));
  network_->Release();
  EXPECT_THAT(Transfer({{Write(0, 1)}}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TransferEngineTest, UnregisteringCutsOffWhatIsHeld) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  TE_EXPECT_OK(
      client_.engine->UnregisterMemory(client_.buffer, milliseconds(10)));
  EXPECT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(TransferEngineTest, HandlesOutliveTheEngine) {
  network_->Hold();
  Batch batch = Submit(FourWrites());
  client_.engine.reset();
  EXPECT_TRUE(batch.finished());
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(TransferEngineTest, ANotificationComesAfterRetriesAndOnce) {
  network_->set_script([](uint64_t i, const Slice&) {
    return i == 5 ? Unavailable() : absl::OkStatus();
  });
  SubmitOptions options;
  options.notification = {.name = "kv", .message = "ready"};
  Batch batch = Submit(FourWrites(), options);
  const auto received = server_.engine->TakeNotification(Soon());
  ASSERT_TRUE(received.has_value());
  EXPECT_TRUE(Arrived(8 * kSlice));
  EXPECT_EQ(received->sender, "client");
  EXPECT_EQ(received->notification.message, "ready");
  ASSERT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.notification_status());
  // None if a request has failed.
  network_->set_script(
      [](uint64_t, const Slice&) { return absl::DataLossError("scripted"); });
  EXPECT_FALSE(Transfer(FourWrites(), options).ok());
  EXPECT_FALSE(server_.engine->TakeNotification(RealClock().Now()));
}

}  // namespace
}  // namespace te
