// Which transport an engine uses when the best one fails.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/core/engine_fixture.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"
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

}  // namespace
}  // namespace te
