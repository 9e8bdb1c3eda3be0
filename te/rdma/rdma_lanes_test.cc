// The rails of a session: which NICs they go between, when they can be used,
// and what one that leads nowhere costs.

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
#include "te/base/memory_location.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/rdma/rdma_transport.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDeviceSpec;
using emulated::Fault;
using emulated::RoceDevice;
using emulated::WorkRequestInfo;
using std::chrono::seconds;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class RdmaLanesTest : public RailFixture {
 protected:
  using State = Rail::State;

  std::vector<State> States() const {
    std::vector<State> states;
    for (const auto& rail : rails_) states.push_back(rail->state());
    return states;
  }
  std::shared_ptr<std::atomic<int>> CountHandshakes() {
    auto handshakes = std::make_shared<std::atomic<int>>(0);
    channel_->SetScript(
        [handshakes](absl::string_view, MonotonicTime, const auto& go) {
          ++*handshakes;
          return go();
        });
    return handshakes;
  }
  // What the client sends by that device, or by any, gets lost if it has data,
  // as where packets are too long for a hop.
  void LoseData(const std::string& device) {
    pair_->fabric().SetFaultScript([device](const WorkRequestInfo& info) {
      Fault fault;
      if (info.host == "a" && info.length > 0 &&
          (device.empty() || info.device == device)) {
        fault.status = IBV_WC_RETRY_EXC_ERR;
      }
      return fault;
    });
  }
};

// The client has but the NIC of the second plane.
TEST_F(RdmaLanesTest, AClientInTheSecondPlaneGetsTheNicThere) {
  bool client = true;
  MakeHosts({1, 2}, {}, [&client](EmulatedDeviceSpec& spec) {
    if (std::exchange(client, false)) {
      spec = RoceDevice("mlx5_0", {10, 0, 1, 1});
      for (auto& gid : spec.ports.front().gids) gid.interface_index = 0;
    }
  });
  TE_ASSERT_OK(Start());
  TE_EXPECT_OK(Transfer());
  EXPECT_THAT(rail_->name(), HasSubstr("to mlx5_1"));
  EXPECT_THAT(rail_->name(), Not(HasSubstr("to mlx5_0")));
}

TEST_F(RdmaLanesTest, ThereIsARailForEachLane) {
  MakeHosts({2, 3});
  TE_ASSERT_OK(Start());
  EXPECT_THAT(States(), ElementsAre(State::kReady, State::kIdle, State::kIdle));
  EXPECT_THAT(rails_[0]->name(), HasSubstr("to mlx5_0"));
  EXPECT_THAT(rails_[1]->name(), HasSubstr("mlx5_1, not connected"));
  for (const auto& rail : rails_) EXPECT_TRUE(Open(*rail));
  EXPECT_THAT(rails_[1]->name(), HasSubstr("to mlx5_1"));
  // That is in the network of our first.
  EXPECT_THAT(rails_[2]->name(), HasSubstr("to mlx5_0"));
  for (const auto& rail : rails_) {
    for (const absl::Status& status :
         TransferOver(*rail, Operation::kRead, 10, 1000)) {
      TE_EXPECT_OK(status);
    }
  }
}

TEST_F(RdmaLanesTest, PrepareOpensARailOnce) {
  MakeHosts({2, 2});
  const auto handshakes = CountHandshakes();
  TE_ASSERT_OK(Start());
  for (int i = 0; i < 10; ++i) rails_[1]->Prepare();
  EXPECT_NE(rails_[1]->state(), State::kIdle);
  EXPECT_TRUE(Open(*rails_[1]));
  EXPECT_EQ(*handshakes, 2);
}

TEST_F(RdmaLanesTest, WhatIsPostedOpensARail) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  for (const absl::Status& status :
       TransferOver(*rails_[1], Operation::kWrite, 10, 1000)) {
    TE_EXPECT_OK(status);
  }
  EXPECT_EQ(rails_[1]->state(), State::kReady);
}

TEST_F(RdmaLanesTest, RailsKnowWhichMemoryIsNear) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(StartServer(Quick()));
  TE_ASSERT_OK_AND_ASSIGN(
      PriorityMatrix matrix,
      PriorityMatrix::FromJson(R"({"cpu:0": [["mlx5_0"], ["mlx5_1"]],
                                   "cpu:1": [["mlx5_1"], ["mlx5_0"]],
                                   "*": [["mlx5_0", "mlx5_1"], []]})"));
  TE_ASSERT_OK_AND_ASSIGN(
      client_, CreateRdmaTransport(Quick(), client_id_,
                                   {.verbs = pair_->fabric().VerbsOf("a"),
                                    .matrix = std::move(matrix),
                                    .max_buffers = 64}));
  TE_ASSERT_OK(Connect());
  for (uint16_t node = 0; node < 2; ++node) {
    const MemoryLocation near = MemoryLocation::Cpu(node);
    EXPECT_TRUE(rails_[node]->IsNear(near));
    EXPECT_FALSE(rails_[1 - node]->IsNear(near));
    EXPECT_TRUE(rails_[node]->IsNear(MemoryLocation()));
    // 4X HDR: 200 Gb/s.
    EXPECT_EQ(rails_[node]->link_rate(), 25'000'000'000);
  }
}

// It carries nothing before it has shown that it works.
TEST_F(RdmaLanesTest, AFurtherLaneThatLeadsNowhereHoldsNothingUp) {
  MakeHosts({2, 2}, {}, [](EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 100'000'000;
  });
  CutOff("mlx5_1");
  RdmaOptions options = Quick();
  options.work_timeout = seconds(60);
  TE_ASSERT_OK(Start(options));
  RecordingSink sink(1);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
  Slice* const posted = &slice;
  rails_[1]->Post({&posted, 1});
  EXPECT_EQ(rails_[1]->state(), State::kPreparing);
  const MonotonicTime deadline = In(seconds(20));
  do {
    EXPECT_NE(rails_[1]->state(), State::kReady);
    for (const absl::Status& status :
         TransferOver(*rails_[0], Operation::kRead, 16, kBytes / 16)) {
      TE_ASSERT_OK(status);
    }
  } while (sink.done() == 0 && RealClock().Now() < deadline);
  // Long before work_timeout.
  ASSERT_EQ(sink.done(), 1u);
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kUnavailable,
                                      HasSubstr("has not answered in time")));
  NoFaults();
  EXPECT_TRUE(Open(*rails_[1]));
}

// A lane that works is not given up for another one to the same peer, which
// would then be missed in turn.
TEST_F(RdmaLanesTest, RailsDoNotTakeEachOthersPlace) {
  MakeHosts({3, 3});
  const auto handshakes = CountHandshakes();
  TE_ASSERT_OK(StartServer(Quick()));
  RdmaOptions options = Quick();
  options.max_endpoints = 1;
  TE_ASSERT_OK(StartClient(options));
  TE_ASSERT_OK(Connect());
  rails_[1]->Prepare();
  rails_[2]->Prepare();
  for (int i = 0; i < 20; ++i) TE_ASSERT_OK(Transfer());
  EXPECT_TRUE(Await([&] {
    return States() == std::vector{State::kReady, State::kDown, State::kDown};
  }));
  for (const absl::Status& status :
       TransferOver(*rails_[1], Operation::kWrite, 10, 1000)) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("endpoints are in use")));
  }
  TE_EXPECT_OK(Transfer());
  EXPECT_EQ(*handshakes, 1);
  EXPECT_EQ(rails_[0]->state(), State::kReady);
  // It gives way where that does not work.
  LoseData("mlx5_0");
  EXPECT_TRUE(Await([&] { return Transfer().ok(); }));
  EXPECT_EQ(rails_[1]->state(), State::kReady);
  EXPECT_NE(rails_[0]->state(), State::kReady);
  TE_EXPECT_OK(rail_->health());
  NoFaults();
}

// A device without queue pairs is not the same as an engine without endpoints:
// the lane is put off.
TEST_F(RdmaLanesTest, ARailWhoseDeviceHasNoQueuePairsIsDown) {
  int made = 0;
  MakeHosts({3, 3}, {}, [&made](EmulatedDeviceSpec& spec) {
    // The client's second.
    if (++made == 2) spec.max_qp = 1;
  });
  RdmaOptions options = Quick();
  ASSERT_GT(options.num_qp, 1);
  TE_ASSERT_OK(Start(options));
  EXPECT_TRUE(Await([&] {
    rails_[1]->Prepare();
    return rails_[1]->state() == State::kDown;
  }));
  EXPECT_THAT(std::string(rails_[1]->why_down().message()),
              HasSubstr("queue pairs"));
  EXPECT_TRUE(Open(*rails_[2]));
  for (const absl::Status& status :
       TransferOver(*rails_[1], Operation::kWrite, 10, 1000)) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("queue pairs")));
  }
  for (const size_t works : {0, 2}) {
    for (const absl::Status& status :
         TransferOver(*rails_[works], Operation::kWrite, 10, 1000)) {
      TE_EXPECT_OK(status);
    }
  }
  TE_EXPECT_OK(rail_->health());
}

TEST_F(RdmaLanesTest, WhatWaitsForARailThatCannotBeOpenedComesBack) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  channel_->SetScript([](absl::string_view, MonotonicTime, const auto&) {
    return absl::ResourceExhaustedError("scripted");
  });
  for (const absl::Status& status :
       TransferOver(*rails_[1], Operation::kWrite, 10, 1000)) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 AllOf(HasSubstr("mlx5_1 to server"),
                                       HasSubstr("scripted"))));
  }
  TE_EXPECT_OK(Transfer());
  channel_->SetScript(nullptr);
  EXPECT_TRUE(Open(*rails_[1]));
}

// Another process answers: that concerns all rails.
TEST_F(RdmaLanesTest, AStalePeerFailsAllRails) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  channel_->SetScript([](absl::string_view, MonotonicTime, const auto&) {
    return StalePeerError("scripted");
  });
  rails_[1]->Prepare();
  EXPECT_TRUE(Await([&] { return !rails_[0]->health().ok(); }));
  EXPECT_TRUE(Await([&] { return AreAllDown(rails_); }));
  EXPECT_THAT(Transfer(), StatusIs(absl::StatusCode::kUnavailable,
                                   HasSubstr("stale peer: scripted")));
  channel_->SetScript(nullptr);
}

// Other rails may do better, so nothing waits for it to be opened again.
TEST_F(RdmaLanesTest, ARailThatBreaksGivesBackWhatWasNotSent) {
  MakeHosts({2, 2});
  RdmaOptions options = Quick();
  options.window_bytes = 64 << 10;
  TE_ASSERT_OK(Start(options));
  EXPECT_TRUE(Open(*rails_[1]));
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(Open(*rails_[0]));
    Fault fault;
    fault.status = IBV_WC_RETRY_EXC_ERR;
    FailRequest(0, fault);
    for (const absl::Status& status :
         TransferOver(*rails_[0], Operation::kWrite, 16, kBytes / 16)) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    }
    NoFaults();
    for (const absl::Status& status :
         TransferOver(*rails_[1], Operation::kWrite, 16, kBytes / 16)) {
      TE_EXPECT_OK(status);
    }
  }
}

// The way is not to blame, so nothing is gained by another one.
TEST_F(RdmaLanesTest, WhatWaitsBehindARefusedSliceIsSentAllTheSame) {
  MakeHosts({2, 2});
  RdmaOptions options = Quick();
  options.window_bytes = 64 << 10;
  TE_ASSERT_OK(Start(options));
  for (int round = 0; round < 10; ++round) {
    Fault fault;
    fault.status = IBV_WC_REM_ACCESS_ERR;
    FailRequest(0, fault);
    const auto outcomes =
        TransferOver(*rails_[0], Operation::kWrite, 16, kBytes / 16);
    EXPECT_THAT(outcomes.front(), StatusIs(absl::StatusCode::kNotFound));
    for (size_t i = 1; i < outcomes.size(); ++i) TE_EXPECT_OK(outcomes[i]);
    NoFaults();
  }
}

// Probes get through, so it serves; but it must not be tried for ever.
TEST_F(RdmaLanesTest, ALaneThatLosesDataGivesWayToAnother) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  LoseData("mlx5_0");
  int failures = 0;
  while (failures < 10 && !Transfer().ok()) ++failures;
  EXPECT_LT(failures, 4) << "EngineOptions::max_slice_attempts";
  TE_EXPECT_OK(rail_->health());
  NoFaults();
}

// Whoever uses them decides what then is to be done.
TEST_F(RdmaLanesTest, WhereAllLanesLoseDataAllRailsAreDown) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  LoseData("");
  int failures = 0;
  while (failures < 100 && !AreAllDown(rails_)) {
    EXPECT_FALSE(Transfer().ok());
    ++failures;
  }
  EXPECT_LT(failures, 100);
  TE_EXPECT_OK(rail_->health());
  EXPECT_THAT(Transfer(), StatusIs(absl::StatusCode::kUnavailable));
  NoFaults();
  AwaitHealingOfRail();
}

// Whatever happens meanwhile, each slice comes back once.
TEST_F(RdmaLanesTest, ManyThreadsUseRailsThatComeAndGo) {
  MakeHosts({2, 2});
  RdmaOptions options = Quick();
  options.window_bytes = 64 << 10;
  TE_ASSERT_OK(Start(options));
  constexpr int kThreads = 4;
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t round = 0; !over; ++round) {
        Rail& rail = *rails_[(round + static_cast<size_t>(thread)) % 2];
        for (const absl::Status& status :
             TransferOver(rail, Operation::kWrite, 16, 16 << 10)) {
          EXPECT_TRUE(status.ok() || MayBeTriedAgain(status) ||
                      absl::IsCancelled(status))
              << status;
        }
      }
    });
  }
  const auto withdrawn = absl::CancelledError("withdrawn");
  for (int round = 0; round < 100; ++round) {
    pair_->a(1).SetPortActive(1, round % 2 == 1);
    for (const auto& rail : rails_) {
      rail->Withdraw([](const Slice& s) { return s.request % 2 == 1; },
                     withdrawn);
      rail->Prepare();
      rail->BeginPolling();
      while (rail->Poll() == Progress::kMoved) {
      }
      rail->EndPolling();
    }
    std::this_thread::yield();
  }
  TE_EXPECT_OK(rail_->health());
  EXPECT_TRUE(Open(*rails_[0]));
  EXPECT_TRUE(Open(*rails_[1]));
  std::thread closer(
      [&] { rails_[0]->Close(absl::CancelledError("by a thread")); });
  rails_[1]->Close(absl::CancelledError("by another one"));
  closer.join();
  over = true;
  for (std::thread& thread : threads) thread.join();
}

// They share their end.
TEST_F(RdmaLanesTest, ClosingOneRailClosesAll) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  EXPECT_TRUE(Open(*rails_[1]));
  rails_[1]->Close(absl::CancelledError("over"));
  EXPECT_THAT(States(), Each(State::kDown));
  for (const auto& rail : rails_) {
    EXPECT_THAT(rail->health(), StatusIs(absl::StatusCode::kCancelled));
    EXPECT_THAT(rail->why_down(), StatusIs(absl::StatusCode::kCancelled));
    for (const absl::Status& status :
         TransferOver(*rail, Operation::kWrite, 10, 1000)) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled));
    }
    rail->Prepare();
    rail->Close(absl::CancelledError("again"));
  }
}

}  // namespace
}  // namespace te::rdma
