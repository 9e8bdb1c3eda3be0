// Bugs that were, each by the name of what went wrong.

#include <infiniband/verbs.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RdmaRegressionTest : public RailFixture {
 protected:
  void PostOne(te::Rail& rail, Slice& slice) {
    Slice* const posted = &slice;
    rail.Post({&posted, 1});
  }
};

// It armed the queue, and took no more than came before that at once.
TEST_F(RdmaRegressionTest, TheLastPollerLeftCompletionsBehind) {
  MakeHosts();
  RdmaOptions options = Quick();
  options.max_sge = 1;
  TE_ASSERT_OK(Start(options));
  constexpr uint32_t kCount = 64;
  constexpr uint32_t kLength = 16 << 10;
  // The lane is proven, for which nobody would poll now.
  TE_ASSERT_OK(Transfer());
  RecordingSink sink(kCount);
  std::vector<Slice> slices;
  std::vector<Slice*> pointers;
  for (uint32_t i = 0; i < kCount; ++i) {
    slices.push_back(
        MakeSlice(Operation::kWrite, i * kLength, kLength, sink, i));
  }
  for (Slice& slice : slices) pointers.push_back(&slice);
  std::atomic<uint32_t> begun = 0;
  pair_->fabric().SetFaultScript([&](const WorkRequestInfo&) {
    ++begun;
    return Fault();
  });
  rail_->BeginPolling();
  rail_->Post(pointers);
  ASSERT_TRUE(Await([&] { return begun == kCount; }));
  rail_->EndPolling();
  // Long before work_timeout.
  EXPECT_TRUE(sink.Wait(In(seconds(10)))) << sink.done();
  TE_EXPECT_OK(sink.status());
  NoFaults();
}

// What failed between the last completion and the end of its endpoint got lost.
TEST_F(RdmaRegressionTest, AnEvictedEndpointFailedAtLast) {
  MakeHosts();
  RdmaOptions options = Quick();
  options.max_endpoints = 1;
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(options));
  for (int round = 0; round < 50; ++round) {
    TE_ASSERT_OK_AND_ASSIGN(const auto one, MakeRail(1));
    Fault fault;
    fault.status = IBV_WC_RETRY_EXC_ERR;
    fault.delay = milliseconds(5);
    FailRequest(0, fault);
    RecordingSink sink(1);
    Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
    PostOne(*one, slice);
    TE_ASSERT_OK_AND_ASSIGN(const auto two, MakeRail(2));
    EXPECT_TRUE(sink.Wait(Soon()));
    NoFaults();
    one->Close(absl::CancelledError("over"));
    two->Close(absl::CancelledError("over"));
  }
}

// Nobody looked at the time of endpoints that were to be closed.
TEST_F(RdmaRegressionTest, AnEvictedEndpointHung) {
  MakeHosts();
  RdmaOptions options = Quick();
  options.max_endpoints = 1;
  options.work_timeout = milliseconds(200);
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(options));
  TE_ASSERT_OK_AND_ASSIGN(const auto one, MakeRail(1));
  Fault fault;
  fault.hang = Hang::kUntilError;
  FailRequest(0, fault);
  RecordingSink sink(1);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
  PostOne(*one, slice);
  TE_ASSERT_OK_AND_ASSIGN(const auto two, MakeRail(2));
  EXPECT_TRUE(sink.Wait(Soon()));
  EXPECT_TRUE(absl::IsUnavailable(sink.status())) << sink.status();
  NoFaults();
  one->Close(absl::CancelledError("over"));
  two->Close(absl::CancelledError("over"));
}

// Opening waited for places on the threads that were to make them.
TEST_F(RdmaRegressionTest, OpeningAndEvictingHeldUpEachOther) {
  constexpr uint32_t kLimit = 8;
  MakeHosts();
  RdmaOptions options = Quick();
  options.max_endpoints = kLimit;
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(options));
  std::vector<std::shared_ptr<te::Rail>> rails;
  for (uint64_t id = 1; id <= 3 * kLimit; ++id) {
    TE_ASSERT_OK_AND_ASSIGN(rails.emplace_back(), MakeRail(id));
  }
  RecordingSink sink(2 * kLimit);
  std::vector<Slice> slices;
  for (uint32_t i = 0; i < 2 * kLimit; ++i) {
    slices.push_back(MakeSlice(Operation::kWrite, i * 1000, 1000, sink, i));
  }
  for (uint32_t i = 0; i < 2 * kLimit; ++i) PostOne(*rails[i], slices[i]);
  EXPECT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
  for (const auto& rail : rails) rail->Close(absl::CancelledError("over"));
}

// Those that do not answer handshakes took all the threads for them.
TEST_F(RdmaRegressionTest, DeadPeersHeldUpAHealthyOne) {
  constexpr uint32_t kDead = 8;
  MakeHosts();
  TE_ASSERT_OK(Start());
  const auto dead = std::make_shared<ScriptedChannel>(client_id_);
  dead->SetServer(server_.get());
  std::vector<std::shared_ptr<te::Rail>> rails;
  for (uint64_t id = 100; id < 100 + kDead; ++id) {
    TE_ASSERT_OK_AND_ASSIGN(
        rails.emplace_back(),
        client_->Connect({.name = "dead", .incarnation = server_id_}, id, dead,
                         Soon()));
  }
  std::atomic<bool> go_on = false;
  dead->SetScript([&](absl::string_view, MonotonicTime, const auto&) {
    while (!go_on) std::this_thread::yield();
    return ScriptedChannel::Answer(absl::DeadlineExceededError("dead"));
  });
  pair_->fabric().SetFaultScript([](const WorkRequestInfo&) {
    Fault fault;
    fault.status = IBV_WC_RETRY_EXC_ERR;
    return fault;
  });
  RecordingSink sink(kDead);
  std::vector<Slice> slices;
  for (uint32_t i = 0; i < kDead; ++i) {
    slices.push_back(MakeSlice(Operation::kWrite, i * 1000, 1000, sink, i));
  }
  for (uint32_t i = 0; i < kDead; ++i) PostOne(*rails[i], slices[i]);
  RecordingSink healthy(1);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, healthy);
  PostOne(*rail_, slice);
  EXPECT_TRUE(healthy.Wait(Soon()));
  EXPECT_EQ(sink.done(), 0u);
  go_on = true;
  EXPECT_TRUE(sink.Wait(Soon()));
  NoFaults();
  dead->SetScript(nullptr);
  for (const auto& rail : rails) rail->Close(absl::CancelledError("over"));
  dead->SetServer(nullptr);
}

// One device that had failed made all registrations fail.
TEST_F(RdmaRegressionTest, AFailedDeviceKeptMemoryFromBeingRegistered) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  TE_ASSERT_OK(Transfer());
  pair_->a(0).Fail();
  AwaitHealing();
  std::vector<std::byte> more(4096);
  const auto register_more = [&] {
    return client_->RegisterMemory(
        {.slot = 9, .address = more.data(), .length = more.size()});
  };
  // The event comes on a thread of the device's.
  ASSERT_TRUE(Await([&] { return register_more().ok(); }));
  client_->UnregisterMemory(9);
}

}  // namespace
}  // namespace te::rdma
