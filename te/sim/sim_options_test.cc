#include "te/sim/sim_options.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/sim/policy.h"
#include "te/sim/scenario.h"
#include "te/sim/simulation.h"

namespace te::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void ExpectComplaint(const SimFlags& flags, const std::string& complaint) {
  EXPECT_THAT(ParseSimOptions(flags),
              StatusIs(absl::StatusCode::kInvalidArgument, complaint));
}

TEST(SimOptionsTest, ByDefaultAllPoliciesAreSideBySide) {
  TE_ASSERT_OK_AND_ASSIGN(const SimOptions options, ParseSimOptions({}));
  ASSERT_EQ(options.scenarios.size(), 1);
  EXPECT_EQ(options.scenarios.front().name, "healthy");
  EXPECT_THAT(options.policies, testing::ElementsAreArray(kPolicies));
}

TEST(SimOptionsTest, TakesListsAndScales) {
  TE_ASSERT_OK_AND_ASSIGN(const SimOptions options,
                          ParseSimOptions({.scenario = "cut,incast",
                                           .policy = "random, scheduler",
                                           .hosts = 5,
                                           .rails = 3,
                                           .gbps = 100,
                                           .seed = 9,
                                           .seconds = 0.5}));
  EXPECT_THAT(options.policies,
              ElementsAre(Policy::kRandom, Policy::kScheduler));
  ASSERT_EQ(options.scenarios.size(), 2);
  const SimulationOptions& simulation = options.scenarios.back().simulation;
  EXPECT_EQ(simulation.network.hosts, 5);
  EXPECT_THAT(simulation.network.nic_rates, testing::Each(12.5e9));
  EXPECT_EQ(simulation.network.nic_rates.size(), 3);
  EXPECT_EQ(simulation.traffic.size(), 4);
  EXPECT_EQ(simulation.seed, 9);
}

TEST(SimOptionsTest, AllAreAll) {
  TE_ASSERT_OK_AND_ASSIGN(const SimOptions options,
                          ParseSimOptions({.scenario = "all"}));
  EXPECT_EQ(options.scenarios.size(), ScenarioNames().size());
}

TEST(SimOptionsTest, SaysWhatIsWrong) {
  ExpectComplaint({.scenario = "cud"},
                  "--scenario: \"cud\" is no scenario; --list shows them");
  ExpectComplaint({.scenario = ","}, "--scenario: there is none");
  ExpectComplaint({.policy = "best"},
                  "--policy: \"best\" is none of scheduler, round_robin, "
                  "random and least_in_flight");
  ExpectComplaint({.hosts = 1}, "--hosts: healthy needs at least 2 hosts");
  ExpectComplaint({.hosts = -1},
                  "--hosts: -1 is out of range; it must be from 0 to 10000");
  ExpectComplaint({.rails = 65},
                  "--rails: 65 is out of range; it must be from 0 to 64");
  ExpectComplaint(
      {.gbps = 100'001},
      "--gbps: 100001 is out of range; it must be from 0 to 100000");
  ExpectComplaint({.seed = -1}, "--seed: -1 is negative");
  ExpectComplaint({.svg = "-"}, "--svg: the tables go to stdout already");
  for (const double seconds : {-1.0, 1e-9, 1e9}) {
    EXPECT_THAT(ParseSimOptions({.seconds = seconds}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("s are not between")));
  }
}

}  // namespace
}  // namespace te::sim
