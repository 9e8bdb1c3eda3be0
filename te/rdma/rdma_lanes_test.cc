// Which NICs a rail goes between, and what a way that leads nowhere costs.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
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
using emulated::Hang;
using emulated::RoceDevice;
using emulated::WorkRequestInfo;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class RdmaLanesTest : public RailFixture {
 protected:
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
  // Work requests of the client that are to leave by that device get nowhere.
  void CutOff(const char* device) {
    pair_->fabric().SetFaultScript([device](const WorkRequestInfo& info) {
      Fault fault;
      if (info.host == "a" && info.device == device) {
        fault.hang = Hang::kUntilError;
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

TEST_F(RdmaLanesTest, AFirstLaneThatLeadsNowhereHoldsNothingUp) {
  MakeHosts({2, 2});
  CutOff("mlx5_0");
  RdmaOptions options = Quick();
  options.work_timeout = seconds(60);
  TE_ASSERT_OK(Start(options));
  RecordingSink sink(1);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
  Slice* const posted = &slice;
  rail_->Post({&posted, 1});
  // Long before work_timeout.
  EXPECT_TRUE(sink.Wait(In(seconds(20))));
  TE_EXPECT_OK(sink.status());
  NoFaults();
}

// Opened when the first has much to do, it gets nothing before it has shown
// that it works.
TEST_F(RdmaLanesTest, AFurtherLaneThatLeadsNowhereHoldsNothingUp) {
  MakeHosts({2, 2}, {}, [](EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 100'000'000;
  });
  CutOff("mlx5_1");
  RdmaOptions options = Quick();
  options.work_timeout = seconds(60);
  TE_ASSERT_OK(Start(options));
  constexpr uint32_t kCount = 16;
  constexpr uint32_t kLength = kBytes / kCount;
  const MonotonicTime deadline = In(seconds(20));
  for (int round = 0; round < 20; ++round) {
    RecordingSink sink(kCount);
    std::vector<Slice> slices;
    for (uint32_t i = 0; i < kCount; ++i) {
      slices.push_back(
          MakeSlice(Operation::kRead, i * kLength, kLength, sink, i));
    }
    std::vector<Slice*> pointers;
    for (Slice& slice : slices) pointers.push_back(&slice);
    rail_->Post(pointers);
    ASSERT_TRUE(sink.Wait(deadline)) << "round " << round;
    TE_EXPECT_OK(sink.status());
  }
  // It was opened.
  EXPECT_THAT(rail_->name(), HasSubstr("mlx5_1"));
  NoFaults();
}

// A lane that works is not given up for another one of the same rail, which
// would then be missed in turn.
TEST_F(RdmaLanesTest, LanesOfARailDoNotTakeEachOthersPlace) {
  MakeHosts({2, 2}, {}, [](EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 200'000'000;
  });
  auto handshakes = std::make_shared<std::atomic<int>>(0);
  channel_->SetScript(
      [handshakes](absl::string_view, MonotonicTime, const auto& go) {
        ++*handshakes;
        return go();
      });
  TE_ASSERT_OK(StartServer(Quick()));
  RdmaOptions options = Quick();
  options.max_endpoints = 1;
  TE_ASSERT_OK(StartClient(options));
  TE_ASSERT_OK(Connect());
  constexpr uint32_t kCount = 16;
  for (int round = 0; round < 20; ++round) {
    for (const absl::Status& status :
         TransferMany(Operation::kWrite, kCount, kBytes / kCount)) {
      TE_ASSERT_OK(status);
    }
  }
  EXPECT_EQ(*handshakes, 1);
  EXPECT_THAT(rail_->name(), HasSubstr("to mlx5_0"));
  // It gives way where that does not work.
  LoseData("mlx5_0");
  const MonotonicTime deadline = Soon();
  while (!Transfer().ok() && RealClock().Now() < deadline) {
  }
  EXPECT_THAT(rail_->name(), HasSubstr("to mlx5_1"));
  TE_EXPECT_OK(rail_->health());
  NoFaults();
}

// A device without queue pairs is not the same as an engine without endpoints:
// the lane is put off, and another one opened in its place.
TEST_F(RdmaLanesTest, ALaneWhoseDeviceHasNoQueuePairsIsPutOff) {
  int made = 0;
  MakeHosts({3, 3}, {}, [&made](EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 200'000'000;
    // The client's second.
    if (++made == 2) spec.max_qp = 1;
  });
  RdmaOptions options = Quick();
  ASSERT_GT(options.num_qp, 1);
  TE_ASSERT_OK(Start(options));
  constexpr uint32_t kCount = 16;
  const MonotonicTime deadline = Soon();
  do {
    for (const absl::Status& status :
         TransferMany(Operation::kWrite, kCount, kBytes / kCount)) {
      TE_ASSERT_OK(status);
    }
  } while (!absl::StrContains(rail_->name(), "to mlx5_2") &&
           RealClock().Now() < deadline);
  EXPECT_THAT(rail_->name(), HasSubstr("to mlx5_2"));
  EXPECT_THAT(rail_->name(), Not(HasSubstr("to mlx5_1")));
  TE_EXPECT_OK(rail_->health());
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

TEST_F(RdmaLanesTest, ARailAllOfWhoseLanesLoseDataFails) {
  MakeHosts({2, 2});
  TE_ASSERT_OK(Start());
  LoseData("");
  int failures = 0;
  while (failures < 100 && rail_->health().ok()) {
    EXPECT_FALSE(Transfer().ok());
    ++failures;
  }
  EXPECT_LT(failures, 100);
  EXPECT_THAT(std::string(rail_->health().message()),
              HasSubstr("no RDMA path to server works"));
  NoFaults();
}

}  // namespace
}  // namespace te::rdma
