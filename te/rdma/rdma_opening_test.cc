// How rails are opened: a lane that leads nowhere takes no other one's time.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using emulated::Fault;
using emulated::Hang;
using emulated::WorkRequestInfo;
using std::chrono::seconds;
using State = Rail::State;

class RdmaOpeningTest : public RailFixture {};

TEST_F(RdmaOpeningTest, AFirstLaneThatLeadsNowhereHoldsNothingUp) {
  MakeHosts({2, 2});
  CutOff("mlx5_0");
  RdmaOptions options = Quick();
  // Longer than Transfer waits.
  options.work_timeout = seconds(60);
  TE_ASSERT_OK(Start(options));
  TE_EXPECT_OK(Transfer());
  EXPECT_NE(rails_[0]->state(), State::kReady);
  EXPECT_EQ(rails_[1]->state(), State::kReady);
  NoFaults();
}

// As where its NIC looks for an address that nobody has. The last lane still
// has a quarter of the time.
TEST_F(RdmaOpeningTest, LanesWithoutAnAnswerHoldNothingUp) {
  MakeHosts({3, 3});
  const auto lanes = std::make_shared<std::atomic<int>>(0);
  channel_->SetScript([lanes](absl::string_view, MonotonicTime deadline,
                              const auto& go) -> ScriptedChannel::Answer {
    return ++*lanes == 3 ? go() : ScriptedChannel::Hang(deadline);
  });
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(Quick()));
  TE_ASSERT_OK(Connect(kRailId, In(seconds(18))));
  EXPECT_EQ(rails_[2]->state(), State::kReady);
  TE_EXPECT_OK(Transfer());
}

// Not even the fence that then must be is answered.
TEST_F(RdmaOpeningTest, APeerWithoutAnAnswerIsGivenUpInTime) {
  MakeHosts();
  channel_->SetScript(
      [](absl::string_view, MonotonicTime deadline, const auto&) {
        return ScriptedChannel::Hang(deadline);
      });
  RdmaOptions options = Quick();
  options.handshake_timeout = seconds(60);
  TE_ASSERT_OK(StartServer(options));
  TE_ASSERT_OK(StartClient(options));
  const MonotonicTime begin = RealClock().Now();
  EXPECT_THAT(Connect(kRailId, In(seconds(3))),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_LT(RealClock().Now() - begin, seconds(30));
}

// A client of one NIC learns only by the first handshake that there is another
// lane, to the peer's second.
TEST_F(RdmaOpeningTest, AFirstLaneWithoutProofLeavesTimeForTheNext) {
  MakeHosts({1, 2});
  const auto first = std::make_shared<std::atomic<uint32_t>>(0);
  pair_->fabric().SetFaultScript([first](const WorkRequestInfo& info) {
    Fault fault;
    uint32_t none = 0;
    if (info.host != "a") return fault;
    if (first->compare_exchange_strong(none, info.qp_num) ||
        none == info.qp_num) {
      fault.hang = Hang::kUntilError;
    }
    return fault;
  });
  RdmaOptions options = Quick();
  options.num_qp = 1;
  options.work_timeout = seconds(60);
  // A proof may take 17 s.
  options.ack_timeout = 20;
  TE_ASSERT_OK(StartServer(options));
  TE_ASSERT_OK(StartClient(options));
  TE_ASSERT_OK(Connect(kRailId, In(seconds(6))));
  EXPECT_EQ(rails_[1]->state(), State::kReady);
  TE_EXPECT_OK(Transfer());
  NoFaults();
}

// What the first handshake may take.
class PatienceTest : public RdmaOpeningTest {
 protected:
  void Watch() {
    channel_->SetScript([patience = patience_](absl::string_view,
                                               MonotonicTime deadline,
                                               const auto& go) {
      Duration none{};
      patience->compare_exchange_strong(none,
                                        TimeUntil(deadline, RealClock().Now()));
      return go();
    });
  }

  // The script outlives the test's body.
  const std::shared_ptr<std::atomic<Duration>> patience_ =
      std::make_shared<std::atomic<Duration>>();
};

// It may be so for all lanes alike.
TEST_F(PatienceTest, APeerMayBeSlowToAnswerTheFirstLane) {
  MakeHosts({4, 4});
  Watch();
  TE_ASSERT_OK(Start());
  // Half of two thirds of 30 s, and not a quarter.
  EXPECT_GT(patience_->load(), seconds(7));
}

TEST_F(PatienceTest, NoTimeIsKeptForALaneWhosePortIsDown) {
  MakeHosts({2, 2});
  Watch();
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(Quick()));
  pair_->a(1).SetPortActive(1, false);
  // The client hears of it by an event, so not all at once.
  EXPECT_TRUE(Await([&] {
    patience_->store(Duration::zero());
    EXPECT_TRUE(Connect().ok());
    const bool all = patience_->load() > seconds(15);
    CloseRail();
    return all;
  }));
}

}  // namespace
}  // namespace te::rdma
