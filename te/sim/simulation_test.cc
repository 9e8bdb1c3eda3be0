#include "te/sim/simulation.h"

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/sim/fault.h"
#include "te/sim/policy.h"
#include "te/sim/traffic.h"
#include "te/transport/slice.h"

namespace te::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr double kRate = 50e9;

// One batch of so many bytes between two hosts with one rail.
SimulationOptions OneBatch(Operation operation, uint64_t bytes) {
  SimulationOptions options;
  options.network.nic_rates = {kRate};
  options.network.hop_latency = microseconds(1);
  options.network.reaction_time = Duration::zero();
  options.traffic = {{.initiator = 0,
                      .peers = {1},
                      .operation = operation,
                      .min_bytes = bytes,
                      .max_bytes = bytes,
                      .in_flight = 1,
                      .batches = 1}};
  options.warm_up = Duration::zero();
  options.policy = Policy::kRoundRobin;
  return options;
}

TEST(SimulationTest, ASliceTakesARoundTripAndItsTransmission) {
  for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
    TE_ASSERT_OK_AND_ASSIGN(const SimulationResult result,
                            Simulate(OneBatch(operation, 50'000)));
    EXPECT_TRUE(result.finished);
    EXPECT_EQ(result.completed, 1);
    // Not twice, for the one and the other NIC.
    EXPECT_EQ(result.last, microseconds(4 + 1));
  }
}

TEST(SimulationTest, LongOnesTakeWhatTheRateSays) {
  TE_ASSERT_OK_AND_ASSIGN(const SimulationResult result,
                          Simulate(OneBatch(Operation::kWrite, 50'000'000)));
  EXPECT_NEAR(static_cast<double>(result.last.count()), 1'004'000, 200);
}

TEST(SimulationTest, SendersShareAReceiver) {
  SimulationOptions options = OneBatch(Operation::kWrite, 5'000'000);
  options.network.hosts = 3;
  options.traffic.push_back(options.traffic.front());
  options.traffic.back().initiator = 2;
  TE_ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(options));
  EXPECT_NEAR(static_cast<double>(result.last.count()), 204'000, 200);
  EXPECT_GT(result.longest_wait, microseconds(90));
}

TEST(SimulationTest, WhatIsLostIsSentAgain) {
  SimulationOptions options = OneBatch(Operation::kWrite, 50'000'000);
  options.faults = {
      {.host = 1, .from = microseconds(500), .until = microseconds(600)}};
  options.network.detection_time = milliseconds(2);
  TE_ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(options));
  EXPECT_EQ(result.completed, 1);
  EXPECT_GT(result.lost_slices, 0);
  EXPECT_GT(result.last, milliseconds(2));
  EXPECT_LT(result.last, milliseconds(5));
}

TEST(SimulationTest, WhatIsLostTooOftenFails) {
  SimulationOptions options = OneBatch(Operation::kRead, 50'000'000);
  options.faults = {{.host = 1, .from = microseconds(500)}};
  options.network.detection_time = milliseconds(2);
  TE_ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(options));
  EXPECT_EQ(result.completed, 0);
  EXPECT_EQ(result.failed, 1);
}

TEST(SimulationTest, ASwitchIsTheSameRailOfAllHosts) {
  SimulationOptions options = OneBatch(Operation::kWrite, 1'000);
  options.network.nic_rates = {kRate, kRate};
  options.faults = {{.host = Fault::kEveryHost, .rail = 1}};
  EXPECT_EQ(IdealThroughput(options), kRate);
}

// Each end has half of the time, and never both of them.
TEST(SimulationTest, WhatIsIdealKnowsWhenFaultsDoNotCoincide) {
  SimulationOptions options = OneBatch(Operation::kWrite, 1'000);
  const Duration half = options.duration / 2;
  options.faults = {{.host = 0, .until = half},
                    {.host = 1, .from = half, .until = options.duration}};
  EXPECT_NEAR(IdealThroughput(options), 0, kRate / 100);
}

TEST(SimulationTest, RefusesWhatMakesNoSense) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  SimulationOptions options = OneBatch(Operation::kWrite, 1'000);
  options.network.hosts = 1;
  EXPECT_THAT(Simulate(options), invalid);
  options = OneBatch(Operation::kWrite, 1'000);
  options.traffic.front().peers = {0};
  EXPECT_THAT(Simulate(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("host 0 is no peer of 0")));
  options = OneBatch(Operation::kWrite, 1'000);
  options.traffic.front().per_second = 1;
  EXPECT_THAT(Simulate(options), invalid);
  options = OneBatch(Operation::kWrite, 0);
  EXPECT_THAT(Simulate(options), invalid);
  options = OneBatch(Operation::kWrite, 1'000);
  options.faults = {{.host = 2}};
  EXPECT_THAT(Simulate(options), invalid);
  options = OneBatch(Operation::kWrite, 1'000);
  options.warm_up = options.duration;
  EXPECT_THAT(Simulate(options), invalid);
}

}  // namespace
}  // namespace te::sim
