// Which transport an engine uses when the best one fails.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"
#include "te/transport/local_memory.h"
#include "te/transport/slice.h"

namespace te {
namespace {

// With "fake", and "spare" as its substitute.
class TransportFallbackTest : public EngineFixture {
 protected:
  void SetUp() override {
    spare_network_ = std::make_shared<FakeNetwork>();
    Start({});
  }
  std::string RailInUse() { return client_.engine->Status().segments[0].rail; }
};

TEST_F(TransportFallbackTest, AnotherTakesOverFromOneThatCannotConnect) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(1, Unavailable());
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(RailInUse(), "spare to server");
  EXPECT_EQ(spare_network_->connects(), 1);
}

// See Transport::Connect: late bytes would overtake what is sent another way.
TEST_F(TransportFallbackTest, NoneTakesOverWhileBytesOfTheFirstMayArrive) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(3, absl::AbortedError("scripted"));
  const int before = network_->connects();
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(network_->connects() - before, 4) << "it tries again by itself";
  EXPECT_TRUE(Arrived(8 * kSlice));
  EXPECT_EQ(RailInUse(), "fake to server");

  TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
  network_->FailConnects(1, absl::AbortedError("scripted"));
  EXPECT_THAT(client_.engine->OpenSegment("server", kEnough),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(spare_network_->connects(), 0);
}

TEST_F(TransportFallbackTest, WhatAnotherHasCarriedIsFencedOnce) {
  EXPECT_EQ(network_->fences(), 0);
  server_.transport->DisconnectPeers();
  network_->FailConnects(1, Unavailable());
  spare_network_->set_script([this](uint64_t, const Slice&) {
    EXPECT_EQ(network_->fences(), 1) << "before anything is sent";
    return absl::OkStatus();
  });
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(RailInUse(), "spare to server");
  EXPECT_EQ(spare_network_->fences(), 0);

  // And back.
  server_.spare->DisconnectPeers();
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(RailInUse(), "fake to server");
  EXPECT_EQ(network_->fences(), 1) << "Connect does that";
  EXPECT_EQ(spare_network_->fences(), 1);

  // Nothing else has carried anything since then.
  server_.transport->DisconnectPeers();
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(RailInUse(), "fake to server");
  EXPECT_EQ(network_->fences(), 1);
  EXPECT_EQ(spare_network_->fences(), 1);
}

TEST_F(TransportFallbackTest, NothingIsSentUntilTheFenceHasSucceeded) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(3, Unavailable());
  network_->FailFences(2, Unavailable());
  spare_network_->set_script([this](uint64_t, const Slice&) {
    EXPECT_EQ(network_->fences(), 3);
    return absl::OkStatus();
  });
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_TRUE(Arrived(8 * kSlice));
  EXPECT_EQ(RailInUse(), "spare to server");
  EXPECT_EQ(spare_network_->connects(), 3) << "it tries again by itself";
}

TEST_F(TransportFallbackTest, AReopenedSegmentFencesWhatTheClosedOneCarried) {
  TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
  network_->FailConnects(2, Unavailable());
  network_->FailFences(1, StalePeerError("scripted"));
  const auto refused = client_.engine->OpenSegment("server", kEnough);
  EXPECT_TRUE(IsStalePeer(refused.status())) << refused.status();
  EXPECT_EQ(network_->fences(), 1);

  segment_ = Open("server");
  EXPECT_EQ(network_->fences(), 2);
  EXPECT_EQ(RailInUse(), "spare to server");
  TE_EXPECT_OK(Transfer(FourWrites()));
}

// The memory is another one, and it may have other transports.
TEST_F(TransportFallbackTest, NothingIsFencedAtAnotherIncarnation) {
  server_ = Node();
  StartNode("server", {}, server_);
  network_->FailConnects(1, Unavailable());
  segment_ = Open("server");
  EXPECT_EQ(RailInUse(), "spare to server");
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(network_->fences(), 0);
}

// Where "fake" reaches one of the server's two buffers.
class TwoRailsTest : public TransportFallbackTest {
 protected:
  void SetUp() override {
    TransportFallbackTest::SetUp();
    TE_ASSERT_OK(server_.engine->RegisterMemory(
        {.address = other_.data(), .length = other_.size()}));
    network_->ReachOnly([this](const LocalMemory& memory) {
      return memory.address == server_.memory.data();
    });
    TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
    segment_ = Open("server");
  }
  ~TwoRailsTest() override {
    // Before the memory.
    server_ = Node();
  }

  // FourWrites, and between them four to the other buffer.
  std::vector<Request> EightWrites() {
    std::vector<Request> requests;
    for (const Request& request : FourWrites()) {
      requests.push_back(request);
      Request& other = requests.emplace_back(request);
      other.remote_address += other_.data() - server_.memory.data();
    }
    return requests;
  }
  bool AllArrived() {
    spare_network_->slices();
    return Arrived(8 * kSlice) &&
           memcmp(client_.memory.data(), other_.data(), 8 * kSlice) == 0;
  }

  std::vector<std::byte> other_ = std::vector<std::byte>(kBytes);
};

TEST_F(TwoRailsTest, EachBufferGoesOverTheFirstThatReachesIt) {
  const uint64_t fake = network_->slices();
  const uint64_t spare = spare_network_->slices();
  TE_EXPECT_OK(Transfer(EightWrites()));
  EXPECT_TRUE(AllArrived());
  EXPECT_EQ(network_->slices() - fake, 8u);
  EXPECT_EQ(spare_network_->slices() - spare, 8u);
  const EngineStatus::Segment segment = client_.engine->Status().segments[0];
  EXPECT_EQ(segment.rail, "fake to server; else spare to server");
  EXPECT_THAT(segment.passed_over,
              testing::ElementsAre("fake: only some memory"));
  EXPECT_EQ(segment.downgrades, 1u);
}

TEST_F(TwoRailsTest, WhateverBreaksIsSentAgainTheSameWay) {
  for (FakeTransport* const broken : {server_.transport, server_.spare}) {
    std::fill(other_.begin(), other_.end(), std::byte{});
    std::fill(server_.memory.begin(), server_.memory.end(), std::byte{});
    broken->DisconnectPeers();
    const uint64_t fake = network_->slices();
    const uint64_t spare = spare_network_->slices();
    TE_EXPECT_OK(Transfer(EightWrites()));
    EXPECT_TRUE(AllArrived());
    EXPECT_GE(network_->slices() - fake, 8u);
    EXPECT_GE(spare_network_->slices() - spare, 8u);
    EXPECT_EQ(RailInUse(), "fake to server; else spare to server");
  }
  EXPECT_EQ(network_->fences() + spare_network_->fences(), 0)
      << "both go on, and Connect fences";
}

TEST_F(TwoRailsTest, TheRestMovesOnIfTheFirstIsGone) {
  server_.transport->DisconnectPeers();
  network_->FailConnects(1, Unavailable());
  TE_EXPECT_OK(Transfer(EightWrites()));
  EXPECT_TRUE(AllArrived());
  EXPECT_EQ(RailInUse(), "spare to server");
  EXPECT_EQ(network_->fences(), 1);
}

TEST_F(TwoRailsTest, CancellingConcernsBoth) {
  network_->Hold();
  spare_network_->Hold();
  Batch batch = Submit(EightWrites());
  batch.Cancel();
  EXPECT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  network_->Release();
  spare_network_->Release();
}

// What cannot go over any goes where it is refused, over the last.
TEST_F(TwoRailsTest, OneThatDoesNotReachAllIsBetterThanNone) {
  TE_ASSERT_OK(client_.engine->CloseSegment(segment_));
  spare_network_->FailConnects(1, Unavailable());
  segment_ = Open("server");
  EXPECT_EQ(RailInUse(), "fake to server");
  TE_EXPECT_OK(Transfer(FourWrites()));
  const auto segment = client_.engine->Status().segments[0];
  EXPECT_EQ(segment.passed_over.size(), 2u);
}

}  // namespace
}  // namespace te
