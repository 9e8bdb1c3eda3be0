// Which transport an engine uses when the best one fails.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/core/engine_fixture.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"

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

}  // namespace
}  // namespace te
