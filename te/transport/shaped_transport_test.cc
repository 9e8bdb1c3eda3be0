#include "te/transport/shaped_transport.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fake_transport.h"
#include "te/transport/rail_controls.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using State = Rail::State;

TransportParam Shaped(const RailShape& shape, const char* name) {
  return {
      name,
      [network = std::make_shared<FakeNetwork>(), shape](
          const Incarnation& self,
          ExposedMemory& memory) -> absl::StatusOr<std::unique_ptr<Transport>> {
        auto controls = std::make_shared<RailControls>(RailControls::Options());
        for (size_t i = 0; i < controls->options().rails; ++i) {
          controls->Set(i, shape);
        }
        return ShapedTransport::Create(
            std::make_unique<FakeTransport>(network, self, memory),
            std::move(controls));
      }};
}

INSTANTIATE_TEST_SUITE_P(
    Shaped, TransportConformance,
    testing::Values(Shaped({}, "Perfect"),
                    Shaped({.bytes_per_second = 2'000'000'000,
                            .latency = std::chrono::microseconds(20),
                            .jitter = std::chrono::microseconds(20)},
                           "Limited")),
    [](const auto& info) { return info.param.name; });

class ShapedTransportTest : public testing::Test {
 protected:
  static constexpr size_t kBytes = 1 << 20;
  static constexpr uint32_t kLength = 1000;
  static constexpr uint32_t kSlot = 1;
  static constexpr Duration kDetection = milliseconds(30);

  void SetUp() override {
    controls_ = std::make_shared<RailControls>(
        RailControls::Options{.detection_time = kDetection});
    TE_ASSERT_OK_AND_ASSIGN(
        client_,
        ShapedTransport::Create(std::make_unique<FakeTransport>(
                                    network_, Incarnation({1}), client_memory_),
                                controls_));
    server_ = std::make_unique<FakeTransport>(network_, Incarnation({2}),
                                              server_memory_);
    TE_EXPECT_OK(client_->RegisterMemory(
        {.slot = kSlot, .address = local_.data(), .length = kBytes}));
    auto key = server_->RegisterMemory({.slot = kSlot,
                                        .address = remote_.data(),
                                        .length = kBytes,
                                        .remote_read = true,
                                        .remote_write = true});
    TE_ASSERT_OK(key);
    key_ = *key;
    generation_ =
        server_memory_.Add({remote_.data(), kBytes}, TestMemory::Rights::kBoth);
    channel_ = std::make_shared<LoopbackChannel>(Incarnation({1}), *server_);
    TE_ASSERT_OK_AND_ASSIGN(rails_, Connect());
  }
  void TearDown() override {
    for (const auto& rail : rails_) rail->Close(absl::CancelledError("over"));
    rails_.clear();
    client_->UnregisterMemory(kSlot);
    client_.reset();
    server_->UnregisterMemory(kSlot);
  }

  static MonotonicTime Now() { return RealClock().Now(); }
  static MonotonicTime Soon() {
    return DeadlineAfter(Now(), std::chrono::seconds(60));
  }
  absl::StatusOr<Rails> Connect() {
    return client_->Connect({.name = "server", .incarnation = Incarnation({2})},
                            /*rail_id=*/7, channel_, Soon());
  }
  // WRITEs one after the other, over a rail.
  void Post(size_t rail, size_t slices, RecordingSink& sink) {
    std::fill(local_.begin(), local_.end(), std::byte{1});
    std::vector<Slice*> posted;
    for (size_t i = 0; i < slices; ++i) {
      slices_.push_back(
          {.operation = Operation::kWrite,
           .request = static_cast<uint32_t>(i),
           .local_slot = kSlot,
           .local = local_.data() + i * kLength,
           .remote_address =
               reinterpret_cast<uint64_t>(remote_.data()) + i * kLength,
           .length = kLength,
           .remote_generation = generation_,
           .remote_key = key_,
           .sink = &sink,
           .owner = &sink});
      posted.push_back(&slices_.back());
    }
    rails_[rail]->Post(posted);
  }
  absl::Status Transfer(size_t rail) {
    RecordingSink sink(1);
    Post(rail, 1, sink);
    EXPECT_TRUE(sink.Wait(Soon()));
    return sink.status();
  }
  void AwaitState(size_t rail, State state) {
    const MonotonicTime deadline = Soon();
    while (rails_[rail]->state() != state && Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(rails_[rail]->state(), state);
  }
  bool arrived() const { return remote_[0] == std::byte{1}; }

  const std::shared_ptr<FakeNetwork> network_ = std::make_shared<FakeNetwork>();
  std::shared_ptr<RailControls> controls_;
  TestMemory client_memory_;
  TestMemory server_memory_;
  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::vector<std::byte> remote_ = std::vector<std::byte>(kBytes);
  std::string key_;
  uint64_t generation_ = 0;
  std::unique_ptr<Transport> client_;
  std::unique_ptr<Transport> server_;
  std::shared_ptr<LoopbackChannel> channel_;
  // They do not move.
  std::deque<Slice> slices_;
  Rails rails_;
};

TEST_F(ShapedTransportTest, OneRailIsReadyAndTheOthersOnceAskedTo) {
  ASSERT_EQ(rails_.size(), 4);
  EXPECT_EQ(rails_[0]->state(), State::kReady);
  EXPECT_EQ(rails_[1]->state(), State::kIdle);
  EXPECT_EQ(rails_[2]->state(), State::kIdle);
  rails_[1]->Prepare();
  AwaitState(1, State::kReady);
  TE_EXPECT_OK(Transfer(1));
  TE_EXPECT_OK(Transfer(2));
  EXPECT_EQ(rails_[2]->state(), State::kReady);
  EXPECT_EQ(rails_[3]->state(), State::kIdle);
}

TEST_F(ShapedTransportTest, BandwidthAndLatencyTakeTheirTime) {
  controls_->Set(0,
                 {.bytes_per_second = 1'000'000, .latency = milliseconds(20)});
  const MonotonicTime begin = Now();
  RecordingSink sink(50);
  Post(0, 50, sink);
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
  EXPECT_GE(Now() - begin, milliseconds(70));
}

// A slice under way gains by a throttle's end.
TEST_F(ShapedTransportTest, ThrottlesAtRunTime) {
  controls_->Set(0, {.bytes_per_second = 1});
  RecordingSink sink(2);
  Post(0, 2, sink);
  EXPECT_FALSE(sink.Wait(1, DeadlineAfter(Now(), milliseconds(10))));
  controls_->Set(0, {});
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
}

TEST_F(ShapedTransportTest, ACutGivesBackAfterTheDetectionTime) {
  controls_->Set(0, {.bytes_per_second = 1});
  RecordingSink sink(3);
  Post(0, 3, sink);
  const MonotonicTime begin = Now();
  controls_->Set(0, {.cut = true});
  EXPECT_EQ(rails_[0]->state(), State::kDown);
  TE_EXPECT_OK(rails_[0]->health());
  TE_EXPECT_OK(Transfer(1));
  ASSERT_TRUE(sink.Wait(Soon()));
  EXPECT_GE(Now() - begin, kDetection);
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kUnavailable));

  controls_->Set(0, {});
  EXPECT_EQ(rails_[0]->state(), State::kIdle);
  rails_[0]->Prepare();
  EXPECT_NE(rails_[0]->state(), State::kIdle);
  AwaitState(0, State::kReady);
  TE_EXPECT_OK(Transfer(0));
}

TEST_F(ShapedTransportTest, ACutFailsWhatIsBeingCarried) {
  network_->set_script([this](uint64_t, const Slice&) {
    controls_->Set(0, {.cut = true});
    return absl::OkStatus();
  });
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(arrived());
}

TEST_F(ShapedTransportTest, AStallLastsUntilItsEnd) {
  controls_->Set(0, {.stalled = true});
  RecordingSink sink(1);
  Post(0, 1, sink);
  EXPECT_FALSE(sink.Wait(DeadlineAfter(Now(), 2 * kDetection)));
  EXPECT_EQ(rails_[0]->state(), State::kReady);
  controls_->Set(0, {});
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
}

TEST_F(ShapedTransportTest, ACutEndsAStall) {
  controls_->Set(0, {.stalled = true});
  RecordingSink sink(1);
  Post(0, 1, sink);
  controls_->Set(0, {.cut = true, .stalled = true});
  ASSERT_TRUE(sink.Wait(Soon()));
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ShapedTransportTest, ALostSliceIsNotCarried) {
  controls_->Set(0, {.loss = 1});
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(network_->slices(), 0);
  EXPECT_FALSE(arrived());
}

TEST_F(ShapedTransportTest, ASliceWhoseAcknowledgementIsLostIsCarried) {
  controls_->Set(0, {.lost_acknowledgement = 1});
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(network_->slices(), 1);
  EXPECT_TRUE(arrived());
}

TEST_F(ShapedTransportTest, AStaleKeyIsNotFound) {
  controls_->Set(0, {.stale_key = 1});
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(arrived());
}

TEST_F(ShapedTransportTest, JitterMakesSlicesOvertakeEachOther) {
  constexpr size_t kSlices = 100;
  controls_->Set(0, {.jitter = milliseconds(20)});
  // One thread calls the sink.
  std::vector<uint32_t> order;
  RecordingSink sink(kSlices, [&order](const Slice& slice, const auto&) {
    order.push_back(slice.request);
  });
  Post(0, kSlices, sink);
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(ShapedTransportTest, AFlappingRailFallsAndRises) {
  controls_->Set(0, {.flap_period = milliseconds(50)});
  for (int i = 0; i < 2; ++i) {
    AwaitState(0, State::kDown);
    AwaitState(0, State::kIdle);
    rails_[0]->Prepare();
    AwaitState(0, State::kReady);
  }
  // None stays for ever.
  controls_->Change(0, [](RailShape& shape) { shape.bytes_per_second = 1; });
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ShapedTransportTest, ConnectNeedsARail) {
  for (size_t i = 0; i < 4; ++i) controls_->Set(i, {.cut = i != 2});
  rails_[0]->Close(absl::CancelledError("closed"));
  TE_ASSERT_OK_AND_ASSIGN(rails_, Connect());
  EXPECT_EQ(rails_[0]->state(), State::kDown);
  EXPECT_EQ(rails_[2]->state(), State::kReady);
  rails_[1]->Close(absl::CancelledError("closed"));
  controls_->Set(2, {.cut = true});
  EXPECT_THAT(Connect(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ShapedTransportTest, WithdrawnSlicesAreNotCarried) {
  controls_->Set(0, {.bytes_per_second = 1});
  RecordingSink sink(4);
  Post(0, 4, sink);
  rails_[0]->Withdraw([](const Slice& slice) { return slice.request != 2; },
                      absl::CancelledError("withdrawn"));
  EXPECT_EQ(sink.done(), 3);
  EXPECT_THAT(*sink.outcome(0), StatusIs(absl::StatusCode::kCancelled));
  controls_->Set(0, {});
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(*sink.outcome(2));
  EXPECT_EQ(network_->slices(), 1);
}

TEST_F(ShapedTransportTest, ClosingOneRailGivesBackWhatIsOnAny) {
  controls_->Set(0, {.stalled = true});
  RecordingSink sink(10);
  Post(0, 10, sink);
  rails_[3]->Close(absl::CancelledError("closed"));
  EXPECT_EQ(sink.done(), 10);
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(rails_[0]->health(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Transfer(0), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace te
