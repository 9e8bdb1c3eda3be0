// The engine over fake transports, whose every failure is scripted; the control
// plane is real.
#include "te/core/transfer_engine.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/engine_options.h"
#include "te/core/request.h"
#include "te/grpc/health_check.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"
#include "te/rpc/control_client.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::HasSubstr;

class TransferEngineTest : public EngineFixture {};

// Shows a test every publication.
class SpyResolver final : public SegmentResolver {
 public:
  using OnPublish = std::function<void(const SegmentDescriptor&)>;
  SpyResolver(bool keeps_descriptors, OnPublish on_publish)
      : keeps_descriptors_(keeps_descriptors),
        on_publish_(std::move(on_publish)) {}

  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view,
                                         const SegmentSnapshot*,
                                         MonotonicTime) override {
    return absl::NotFoundError("nobody");
  }
  bool keeps_descriptors() const override { return keeps_descriptors_; }
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime) override {
    on_publish_(descriptor);
    return absl::OkStatus();
  }
  absl::Status Withdraw(absl::string_view, const Incarnation&,
                        MonotonicTime) override {
    return absl::OkStatus();
  }

 private:
  const bool keeps_descriptors_;
  const OnPublish on_publish_;
};

TEST_F(TransferEngineTest, PeersAreToldTheNodeOfABufferIfItIsOneAlone) {
  std::vector<std::byte> memory(1 << 20);
  const auto begin = reinterpret_cast<uint64_t>(memory.data());
  const uint64_t middle = begin + memory.size() / 2;
  placement_.find_page_nodes = [=](absl::Span<void* const> pages,
                                   absl::Span<int> nodes) {
    for (size_t i = 0; i < pages.size(); ++i) {
      nodes[i] = reinterpret_cast<uint64_t>(pages[i]) < middle ? 1 : 2;
    }
    return absl::OkStatus();
  };
  Node owner;
  StartNode("owner", {}, owner);
  const size_t quarter = memory.size() / 4;
  TE_ASSERT_OK(owner.engine->RegisterMemory(
      {{.address = memory.data(), .length = quarter},
       {.address = memory.data(), .length = memory.size()},
       {.address = memory.data(),
        .length = quarter,
        .location = MemoryLocation::Cpu(3)}}));
  const SegmentId segment = Open("owner");
  TE_ASSERT_OK_AND_ASSIGN(const auto seen,
                          client_.engine->DescribeSegment(segment));
  std::vector<std::string> locations;
  for (const BufferDescriptor& buffer : seen->buffers) {
    if (buffer.address == begin)
      locations.push_back(buffer.location.ToString());
  }
  EXPECT_THAT(locations, testing::ElementsAre("cpu:1", "*", "cpu:3"));
}

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

TEST_F(TransferEngineTest, WhatHasEndedDoesNotHoldItsBuffer) {
  std::vector<std::byte> other(2 * kSlice);
  TE_ASSERT_OK_AND_ASSIGN(const BufferId buffer, client_.engine->RegisterMemory(
                                                     {.address = other.data(),
                                                      .length = other.size()}));
  network_->set_script([this](uint64_t i, const Slice&) {
    if (i == 3) network_->Hold();  // as above
    return absl::OkStatus();
  });
  auto requests = FourWrites();
  requests[1].local = other.data();
  Batch batch = Submit(requests);
  EXPECT_TRUE(batch.Wait(1, Soon()));
  TE_EXPECT_OK(client_.engine->UnregisterMemory(buffer, kEnough));
  EXPECT_FALSE(batch.finished(2) || batch.finished(3));
  network_->set_script(nullptr);
  network_->Release();
  EXPECT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.status());
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

TEST_F(TransferEngineTest, ANotificationThatIsTooLongIsRefusedBeforeTheData) {
  SubmitOptions options;
  options.notification = {
      .name = "kv", .message = std::string(kMaxNotificationBytes - 2, 'x')};
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}, options));
  const uint64_t before = network_->slices();
  options.notification->name = "kvs";
  EXPECT_THAT(client_.engine->Submit({{Write(0, 1)}}, options),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(network_->slices(), before);
  // The first batch may still be on its way back.
  const MonotonicTime deadline = DeadlineAfter(RealClock().Now(), kEnough);
  while (client_.engine->Status().batches_in_use > 0) {
    ASSERT_LT(RealClock().Now(), deadline);
    std::this_thread::yield();
  }
}

TEST_F(TransferEngineTest, ChangesArePublishedWhereDescriptorsAreKept) {
  for (const bool kept : {true, false}) {
    std::vector<uint64_t> versions;
    Node node;
    StartNode("node", {}, node,
              std::make_unique<SpyResolver>(kept, [&](const auto& published) {
                versions.push_back(published.version);
              }));
    for (int i = 0; i < 100; ++i) {
      TE_ASSERT_OK_AND_ASSIGN(
          const BufferId id,
          node.engine->RegisterMemory(
              {.address = node.memory.data(), .length = 10}));
      TE_EXPECT_OK(node.engine->UnregisterMemory(id, kEnough));
    }
    // One for the start, one for the buffer of the node.
    EXPECT_EQ(versions.size(), kept ? 202u : 1u);
    // Who asks the engine itself sees that something has changed.
    TE_ASSERT_OK_AND_ASSIGN(
        auto asked,
        ControlClient::Create(node.engine->Status().control_address));
    TE_ASSERT_OK_AND_ASSIGN(const auto segment, asked->GetSegment(Soon()));
    EXPECT_EQ(segment.descriptor.version, 202u);
    EXPECT_EQ(segment.descriptor.buffers.size(), 1u);
  }
}

TEST_F(TransferEngineTest, HealthChecksSayWhetherItServes) {
  bool starting = false;
  std::string address;
  Node node;
  StartNode("node", {}, node,
            std::make_unique<SpyResolver>(false, [&](const auto& published) {
              starting = true;
              address = published.control_addresses.front();
              EXPECT_THAT(CheckHealth(address, Soon()), IsOkAndHolds(false));
            }));
  EXPECT_TRUE(starting);
  EXPECT_THAT(CheckHealth(address, Soon()), IsOkAndHolds(true));
}

TEST_F(TransferEngineTest, StatusCountsAllBuffers) {
  EXPECT_EQ(client_.engine->Status().buffers, 1u);
  TE_EXPECT_OK(client_.engine->RegisterMemory({.address = client_.memory.data(),
                                               .length = 10,
                                               .access = Access::kLocalOnly}));
  EXPECT_EQ(client_.engine->Status().buffers, 2u);
  TE_EXPECT_OK(client_.engine->UnregisterMemory(client_.buffer, kEnough));
  EXPECT_EQ(client_.engine->Status().buffers, 1u);
}

}  // namespace
}  // namespace te
