// Queue pairs are bounded, and none is ever left over.

#include <infiniband/verbs.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDeviceSpec;
using emulated::Fault;
using emulated::LiveObjects;
using emulated::WorkRequestInfo;
using std::chrono::milliseconds;
using testing::HasSubstr;

class EndpointLimitTest : public RailFixture {
 protected:
  void SetUp() override { MakeHosts(); }
  static RdmaOptions Few(int max_endpoints) {
    RdmaOptions options = Quick();
    options.max_endpoints = max_endpoints;
    return options;
  }
  int ServerQps() { return pair_->b(0).live_objects().qps; }
};

// One way after the other in which a connection ends.
class CycleTest : public EndpointLimitTest {
 protected:
  void Cycle(int cycle) {
    const auto go_wrong = [&](ibv_wc_status status) {
      Fault fault;
      fault.status = status;
      FailRequest(0, fault);
      EXPECT_FALSE(Transfer().ok());
      NoFaults();
    };
    switch (cycle % 5) {
      case 0:
        TE_EXPECT_OK(Transfer());
        break;
      case 1:
        go_wrong(IBV_WC_RETRY_EXC_ERR);
        break;
      case 2:
        go_wrong(IBV_WC_REM_ACCESS_ERR);
        break;
      case 3:
        // Neither the fence nor the goodbye gets through.
        channel_->SetScript([](absl::string_view, MonotonicTime, const auto&) {
          return absl::UnavailableError("scripted");
        });
        go_wrong(IBV_WC_RETRY_EXC_ERR);
        EXPECT_FALSE(MakeRail(kRailId).ok());
        break;
      case 4: {
        RecordingSink sink(1);
        Slice slice = MakeSlice(Operation::kRead, 0, 100'000, sink);
        Slice* const posted = &slice;
        rail_->Post({&posted, 1});
        CloseRail();
        EXPECT_EQ(sink.done(), 1);
        break;
      }
    }
    CloseRail();
    channel_->SetScript(nullptr);
  }
};

TEST_F(CycleTest, NothingIsLeftAfterThousandsOfConnections) {
  constexpr int kCycles = 10'000;
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(Quick()));
  const LiveObjects client = pair_->a(0).live_objects();
  const LiveObjects server = pair_->b(0).live_objects();
  for (int cycle = 1; cycle <= kCycles; ++cycle) {
    TE_ASSERT_OK(Connect(kRailId + static_cast<uint64_t>(cycle / 250)));
    Cycle(cycle);
    ASSERT_FALSE(HasFailure()) << "cycle " << cycle;
    if (cycle % 100 != 0) continue;
    // Its goodbye may still be under way.
    ASSERT_TRUE(Await([&] { return pair_->a(0).live_objects() == client; }))
        << pair_->a(0).live_objects();
    ASSERT_TRUE(Await([&] { return pair_->b(0).live_objects() == server; }))
        << pair_->b(0).live_objects();
  }
}

TEST_F(EndpointLimitTest, TheServerRefusesMoreThanItMayHave) {
  TE_ASSERT_OK(StartServer(Few(2)));
  TE_ASSERT_OK(StartClient(Quick()));
  std::vector<std::shared_ptr<Rail>> rails;
  for (uint64_t id = 1; id <= 2; ++id) {
    TE_ASSERT_OK_AND_ASSIGN(rails.emplace_back(), MakeRail(id));
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(MakeRail(3), StatusIs(absl::StatusCode::kResourceExhausted,
                                      HasSubstr("max_endpoints")));
  }
  EXPECT_EQ(ServerQps(), 2 * Quick().num_qp);
  // The same rail once more takes the place of the old one.
  rails[0]->Close(absl::CancelledError("closed"));
  TE_ASSERT_OK_AND_ASSIGN(rails[0], MakeRail(1));
  rails[1]->Close(absl::CancelledError("closed"));
  ASSERT_TRUE(Await([&] { return ServerQps() == Quick().num_qp; }));
  TE_ASSERT_OK_AND_ASSIGN(rails[1], MakeRail(3));
  for (const auto& rail : rails) rail->Close(absl::CancelledError("closed"));
}

// Refused before anything is made.
TEST_F(EndpointLimitTest, TheDeviceHasNoMoreQueuePairs) {
  MakeHosts({}, {}, [](EmulatedDeviceSpec& spec) { spec.max_qp = 5; });
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK(StartClient(Quick()));
  TE_ASSERT_OK(Connect(1));
  TE_ASSERT_OK_AND_ASSIGN(const auto second, MakeRail(2));
  const auto third = MakeRail(3);
  EXPECT_FALSE(third.ok());
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("queue pairs"));
  EXPECT_EQ(pair_->a(0).live_objects().qps, 4);
  TE_EXPECT_OK(Transfer());
  second->Close(absl::CancelledError("closed"));
  ASSERT_TRUE(Await([&] { return ServerQps() == 2; }));
  TE_ASSERT_OK_AND_ASSIGN(const auto fourth, MakeRail(4));
  fourth->Close(absl::CancelledError("closed"));
}

// The server finds out by itself that nobody is there.
TEST_F(EndpointLimitTest, AClientVanishesWithoutGoodbye) {
  RdmaOptions options = Quick();
  options.keepalive = milliseconds(100);
  TE_ASSERT_OK(StartServer(options));
  TE_ASSERT_OK(StartClient(Quick()));
  TE_ASSERT_OK(Connect());
  TE_ASSERT_OK(Transfer());
  const LiveObjects client = pair_->a(0).live_objects();
  channel_->SetScript([](absl::string_view, MonotonicTime, const auto&) {
    return absl::UnavailableError("cut off");
  });
  EXPECT_EQ(ServerQps(), options.num_qp);
  StopClient();
  EXPECT_GT(client.qps, 0);
  EXPECT_TRUE(Await([&] { return ServerQps() == 0; }));
}

// One that is only silent is kept.
TEST_F(EndpointLimitTest, AnIdleClientIsProbedAndKept) {
  RdmaOptions options = Quick();
  options.keepalive = milliseconds(100);
  TE_ASSERT_OK(StartServer(options));
  TE_ASSERT_OK(StartClient(Quick()));
  TE_ASSERT_OK(Connect());
  auto probes = std::make_shared<std::atomic<int>>(0);
  pair_->fabric().SetFaultScript([probes](const WorkRequestInfo& info) {
    if (info.host == "b" && info.length == 0) ++*probes;
    return Fault();
  });
  ASSERT_TRUE(Await([&] { return *probes >= 3; }));
  EXPECT_EQ(ServerQps(), options.num_qp);
  TE_EXPECT_OK(Transfer());
  TE_EXPECT_OK(rail_->health());
}

// A probe fails by accident: the client sets its connection up again.
TEST_F(EndpointLimitTest, AProbeFailsAndTheRailHeals) {
  RdmaOptions options = Quick();
  options.keepalive = milliseconds(100);
  TE_ASSERT_OK(StartServer(options));
  TE_ASSERT_OK(StartClient(Quick()));
  TE_ASSERT_OK(Connect());
  pair_->fabric().SetFaultScript([](const WorkRequestInfo& info) {
    Fault fault;
    if (info.host == "b") fault.status = IBV_WC_RETRY_EXC_ERR;
    return fault;
  });
  ASSERT_TRUE(Await([&] { return ServerQps() == 0; }));
  NoFaults();
  AwaitHealingOfRail();
  EXPECT_EQ(ServerQps(), options.num_qp);
}

TEST_F(EndpointLimitTest, DisconnectPeersEndsAllAndTheyComeBack) {
  TE_ASSERT_OK(Start());
  for (int round = 0; round < 20; ++round) {
    TE_ASSERT_OK(Transfer());
    server_->DisconnectPeers();
    EXPECT_EQ(ServerQps(), 0);
    AwaitHealingOfRail();
  }
}

}  // namespace
}  // namespace te::rdma
