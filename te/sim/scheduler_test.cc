// What the engine's scheduler promises, in simulated clusters.

#include <chrono>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/sim/policy.h"
#include "te/sim/report.h"
#include "te/sim/scenario.h"
#include "te/sim/simulation.h"

namespace te::sim {
namespace {

using std::chrono::milliseconds;

Scenario Make(const std::string& name, const ScenarioScale& scale = {}) {
  absl::StatusOr<Scenario> scenario = MakeScenario(name, scale);
  TE_EXPECT_OK(scenario.status());
  return *scenario;
}

SimulationResult ResultOf(Scenario scenario,
                          Policy policy = Policy::kScheduler) {
  scenario.simulation.policy = policy;
  absl::StatusOr<SimulationResult> result = Simulate(scenario.simulation);
  TE_EXPECT_OK(result.status());
  EXPECT_EQ(result->failed, 0);
  return *result;
}

double ShareOfIdeal(const Scenario& scenario, Policy policy) {
  return ResultOf(scenario, policy).throughput /
         IdealThroughput(scenario.simulation);
}

TEST(SchedulerTest, EqualSeedsGiveEqualTables) {
  const std::vector<Policy> policies(std::begin(kPolicies),
                                     std::end(kPolicies));
  const auto table = [&](uint64_t seed) {
    absl::StatusOr<Report> report = RunScenario(
        Make("prefill_decode", {.hosts = 8, .seconds = 0.004, .seed = seed}),
        policies);
    TE_EXPECT_OK(report.status());
    return ReportText(*report);
  };
  EXPECT_EQ(table(1), table(1));
  EXPECT_NE(table(1), table(2));
}

TEST(SchedulerTest, FillsHealthyRails) {
  const Scenario scenario = Make("healthy", {.seconds = 0.02});
  EXPECT_GE(ShareOfIdeal(scenario, Policy::kScheduler), 0.95);
}

TEST(SchedulerTest, FillsRailsBesideASlowOne) {
  Scenario scenario = Make("healthy", {.seconds = 0.06});
  scenario.simulation.warm_up = milliseconds(20);
  for (const uint32_t host : {0, 1}) {
    scenario.simulation.faults = {{.host = host, .rail = 2, .fraction = 0.1}};
    EXPECT_NEAR(IdealThroughput(scenario.simulation), 7.1 * 50e9, 1e6);
    EXPECT_GE(ShareOfIdeal(scenario, Policy::kScheduler), 0.95);
    EXPECT_LE(ShareOfIdeal(scenario, Policy::kRoundRobin), 0.3);
  }
}

TEST(SchedulerTest, FillsUnequalRails) {
  const Scenario scenario = Make("mixed_rates", {.seconds = 0.02});
  EXPECT_GE(ShareOfIdeal(scenario, Policy::kScheduler), 0.95);
  EXPECT_LE(ShareOfIdeal(scenario, Policy::kRoundRobin), 0.5);
}

TEST(SchedulerTest, ShortRequestsDoNotWaitForLongOnes) {
  const SimulationResult alone = ResultOf(Make("short_alone"));
  const Scenario scenario = Make("short_under_bulk", {.seconds = 0.05});
  const SimulationResult beside = ResultOf(scenario);
  EXPECT_GT(beside.short_batches.count, 500);
  EXPECT_LE(beside.short_batches.p99, 3 * alone.short_batches.p99);
  // Nor do these suffer.
  EXPECT_GE(beside.throughput, 0.95 * IdealThroughput(scenario.simulation));
}

// Which share the host's NICs with them.
TEST(SchedulerTest, NorForLongOnesToOtherHosts) {
  const SimulationResult alone = ResultOf(Make("short_alone"));
  const Scenario scenario = Make("short_beside_bulk", {.seconds = 0.05});
  const SimulationResult beside = ResultOf(scenario);
  EXPECT_GT(beside.short_batches.count, 500);
  EXPECT_LE(beside.short_batches.p99, 3 * alone.short_batches.p99);
  EXPECT_GE(beside.throughput, 0.95 * IdealThroughput(scenario.simulation));
}

// There a slice takes far longer than the path's latency.
TEST(SchedulerTest, ShortRequestsDoNotStarveLongOnesOfSlowerRails) {
  const Scenario scenario =
      Make("short_under_bulk", {.gbps = 100, .seconds = 0.05});
  EXPECT_GE(ShareOfIdeal(scenario, Policy::kScheduler), 0.95);
}

// However many send, each of them has no more than a few slices on its way over
// each rail: else short requests of others would wait behind those.
void ExpectShortQueues(const Scenario& scenario) {
  const SimulationResult result = ResultOf(scenario);
  constexpr double kSlices = 4;
  const SimulationOptions& options = scenario.simulation;
  const double bytes = kSlices * options.slice_bytes *
                       static_cast<double>(options.traffic.size());
  const double seconds = bytes / options.network.nic_rates.front();
  EXPECT_LE(static_cast<double>(result.longest_wait.count()), seconds * 1e9);
  EXPECT_GE(result.throughput, 0.95 * IdealThroughput(options));
}

TEST(SchedulerTest, IncastStaysBounded) {
  ExpectShortQueues(Make("incast", {.hosts = 100, .rails = 2}));
  ExpectShortQueues(
      Make("incast_stream", {.hosts = 50, .rails = 2, .seconds = 0.2}));
}

}  // namespace
}  // namespace te::sim
