// Bugs that were, each by the name of what went wrong.

#include <infiniband/verbs.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/rdma/verbs/forwarding_verbs.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDeviceSpec;
using emulated::Fault;
using emulated::Hang;
using emulated::WorkRequestInfo;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

class RdmaRegressionTest : public RailFixture {
 protected:
  void PostOne(te::Rail& rail, Slice& slice) {
    Slice* const posted = &slice;
    rail.Post({&posted, 1});
  }
};

TEST_F(RdmaRegressionTest, AWrongPkeyIndexWasNoticedByEachConnectionAlone) {
  MakeHosts();
  RdmaOptions options = Quick();
  options.pkey_index = 7;
  EXPECT_THAT(StartServer(options),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("P_Key index 7 (pkey_index)"),
                             HasSubstr("mlx5_0 port 1, whose length is 1"),
                             HasSubstr("from 0 to 0"))));
}

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

// Queue pairs of one device take fewer work requests than they say, as when a
// driver counts in another way than te does.
class ShortQueues final : public ForwardingVerbs {
 public:
  ShortQueues(std::shared_ptr<Verbs> target, std::string device, uint32_t depth)
      : ForwardingVerbs(std::move(target)),
        device_(std::move(device)),
        depth_(depth) {}

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override {
    if (GetDeviceName(pd->context->device) == device_) {
      attr->cap.max_send_wr = depth_;
    }
    return ForwardingVerbs::CreateQp(pd, attr);
  }

 private:
  const std::string device_;
  const uint32_t depth_;
};

// The device took some of its parts and refused the others: it went to another
// lane, or came back, while the former could still reach the peer.
TEST_F(RdmaRegressionTest, ASliceThatWasTornWasGivenBackTooEarly) {
  constexpr uint32_t kPart = 4 << 20;
  constexpr uint32_t kParts = 6;
  local_.resize(size_t{kPart} * kParts);
  remote_.resize(local_.size());
  MakeHosts({2, 2}, {},
            [](EmulatedDeviceSpec& spec) { spec.max_msg_sz = kPart; });
  pair_->SetVerbs("a", std::make_shared<ShortQueues>(
                           pair_->fabric().VerbsOf("a"), "mlx5_0", kParts / 2));
  RdmaOptions options = Quick();
  options.flush_timeout = milliseconds(100);
  TE_ASSERT_OK(Start(options));
  // The parts that were taken end with their queue pair, and no sooner.
  Fault fault;
  fault.hang = Hang::kForGood;
  FailRequest(0, fault);
  std::atomic<int> live_qps = -1;
  RecordingSink sink(1, [&](const Slice&, const absl::Status&) {
    live_qps = pair_->a(0).live_objects().qps;
  });
  Slice slice = MakeSlice(Operation::kWrite, 0, kPart * kParts, sink);
  PostOne(*rail_, slice);
  ASSERT_TRUE(sink.Wait(Soon()));
  EXPECT_TRUE(absl::IsUnavailable(sink.status())) << sink.status();
  EXPECT_EQ(live_qps, 0);
  // Whoever gave it back once more would do so by now.
  CloseRail();
  EXPECT_EQ(sink.done(), 1u);
  NoFaults();
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
        const Rails made,
        client_->Connect({.name = "dead", .incarnation = server_id_}, id, dead,
                         Soon()));
    rails.push_back(made.front());
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
