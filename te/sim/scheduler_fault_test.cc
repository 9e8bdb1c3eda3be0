// What the engine's scheduler promises where something fails, in simulated
// clusters.

#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/sim/policy.h"
#include "te/sim/recovery.h"
#include "te/sim/scenario.h"
#include "te/sim/simulation.h"

namespace te::sim {
namespace {

using std::chrono::milliseconds;

Scenario Make(const std::string& name, const ScenarioScale& scale) {
  absl::StatusOr<Scenario> scenario = MakeScenario(name, scale);
  TE_EXPECT_OK(scenario.status());
  return *scenario;
}

SimulationResult ResultOf(Scenario scenario) {
  scenario.simulation.policy = Policy::kScheduler;
  absl::StatusOr<SimulationResult> result = Simulate(scenario.simulation);
  TE_EXPECT_OK(result.status());
  EXPECT_EQ(result->failed, 0);
  return *result;
}

// What the other rails carry is reached within 50 ms, and everything within a
// second after the end of the fault.
void ExpectRecovery(const Scenario& scenario) {
  const SimulationResult result = ResultOf(scenario);
  EXPECT_GT(result.lost_slices, 0);
  constexpr Duration kPatience[] = {milliseconds(50), milliseconds(1'000)};
  ASSERT_EQ(scenario.milestones.size(), std::size(kPatience));
  for (size_t i = 0; i < std::size(kPatience); ++i) {
    const Scenario::Milestone& milestone = scenario.milestones[i];
    const std::optional<Duration> time =
        TimeToReach(result.throughputs, scenario.simulation.bin, milestone.from,
                    milestone.until, milestone.level, milliseconds(10));
    ASSERT_TRUE(time.has_value()) << milestone.title;
    EXPECT_LE(*time, kPatience[i]) << milestone.title;
  }
}

TEST(SchedulerFaultTest, GoesAroundADeadPort) {
  ExpectRecovery(Make("cut", {.rails = 4, .seconds = 0.15}));
}

TEST(SchedulerFaultTest, GoesAroundADeadPortOfThePeer) {
  ExpectRecovery(Make("cut_remote", {.rails = 4, .seconds = 0.15}));
}

// By then the rail has failed again and again, and nothing that was measured
// counts any longer.
TEST(SchedulerFaultTest, ComesBackAfterASecond) {
  Scenario scenario = Make("cut_remote", {.rails = 2, .seconds = 2.5});
  // Longer than the least window, behind which it must not stay.
  scenario.simulation.slice_bytes = 1 << 20;
  ExpectRecovery(scenario);
}

TEST(SchedulerFaultTest, GoesAroundADeadSwitch) {
  ExpectRecovery(Make("dead_switch", {.hosts = 3, .rails = 4, .seconds = 0.1}));
}

TEST(SchedulerFaultTest, FlappingPortsCostLittleMoreThanTheirTime) {
  for (const char* name : {"flapping", "flapping_remote"}) {
    const Scenario scenario = Make(name, {.rails = 4, .seconds = 0.13});
    EXPECT_GE(ResultOf(scenario).throughput,
              0.9 * IdealThroughput(scenario.simulation))
        << name;
  }
}

}  // namespace
}  // namespace te::sim
