#include "te/topology/nic_ranking.h"

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/nic_preference.h"
#include "te/base/status_matchers.h"
#include "te/topology/machine.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MemoryLocation At(const char* text) {
  return MemoryLocation::Parse(text).value();
}

// "mlx5_0 mlx5_1 | mlx5_2": the preferred, and the others.
std::string Row(const PriorityMatrix& matrix, const char* location) {
  const auto found = matrix.preferences().find(At(location));
  if (found == matrix.preferences().end()) return "none";
  return absl::StrCat(absl::StrJoin(found->second.preferred, " "), " | ",
                      absl::StrJoin(found->second.fallback, " "));
}

// By its sysfs too, if that has the devices.
Machine MachineOf(const std::string& name) {
  return name == "memory_beside_dies" ? DiscoverTestMachineByXml(name)
                                      : DiscoverTestMachine(name);
}

struct Case {
  const char* machine;
  const char* location;
  const char* row;
};

TEST(NicRankingTest, MatrixOfEachMachine) {
  const Case cases[] = {
      {"one_socket", "cpu:0", "none"},
      {"one_socket", "*", "none"},
      {"two_sockets", "cpu:0", "mlx5_0 | "},
      {"two_sockets", "cpu:1", "mlx5_0 | "},
      {"two_sockets", "*", "mlx5_0 | "},
      {"eight_gpus", "cpu:0",
       "mlx5_0 mlx5_1 mlx5_2 mlx5_3 | mlx5_4 mlx5_5 mlx5_6 mlx5_7"},
      {"eight_gpus", "cpu:1",
       "mlx5_4 mlx5_5 mlx5_6 mlx5_7 | mlx5_0 mlx5_1 mlx5_2 mlx5_3"},
      {"eight_gpus", "cuda:0",
       "mlx5_0 | mlx5_1 mlx5_2 mlx5_3 mlx5_4 mlx5_5 mlx5_6 mlx5_7"},
      {"eight_gpus", "cuda:3",
       "mlx5_3 | mlx5_2 mlx5_0 mlx5_1 mlx5_4 mlx5_5 mlx5_6 mlx5_7"},
      {"eight_gpus", "*",
       "mlx5_0 mlx5_1 mlx5_2 mlx5_3 mlx5_4 mlx5_5 mlx5_6 mlx5_7 | "},
      // None is next to node 0: those of its socket are nearest.
      {"four_nodes_per_socket", "cpu:0", "mlx5_0 mlx5_2 mlx5_1 | mlx5_3"},
      // mlx5_1 has an eighth of the rate.
      {"four_nodes_per_socket", "cpu:1", "mlx5_0 mlx5_1 | mlx5_2 mlx5_3"},
      {"four_nodes_per_socket", "cpu:6", "mlx5_3 | mlx5_0 mlx5_2 mlx5_1"},
      {"memory_beside_dies", "cpu:0", "mlx5_0 | mlx5_1"},
      {"memory_beside_dies", "cpu:1", "mlx5_1 | mlx5_0"},
      {"bond", "cpu:0", "mlx5_bond_0 | "},
      {"virtual_functions", "cpu:0", "mlx5_0 mlx5_1 | "},
      {"arm", "cpu:0", "mlx4_0 | "},
      {"gpu_memory_node", "cpu:1", "mlx5_0 | "},
      {"gpu_memory_node", "cuda:0", "mlx5_0 | "},
      {"sixteen_nics", "cuda:7",
       "mlx5_14 mlx5_15 | mlx5_8 mlx5_9 mlx5_10 mlx5_11 mlx5_12 mlx5_13 "
       "mlx5_0 mlx5_1 mlx5_2 mlx5_3 mlx5_4 mlx5_5 mlx5_6 mlx5_7"},
  };
  for (const Case& c : cases) {
    TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix,
                            MakeMatrix(MachineOf(c.machine), {}));
    EXPECT_EQ(Row(matrix, c.location), c.row) << c.machine << " " << c.location;
  }
}

TEST(NicRankingTest, SaysWhyEachNicStandsWhereItDoes) {
  const Machine& machine = DiscoverTestMachine("two_sockets");
  TE_ASSERT_OK_AND_ASSIGN(const std::vector<RankedNic> ranking,
                          RankNics(machine, At("cpu:1"), {}));
  ASSERT_EQ(ranking.size(), 2U);
  EXPECT_EQ(ranking[0].standing, Standing::kPreferred);
  EXPECT_EQ(ranking[0].reason,
            "next to NUMA node 0, in another socket (NUMA latency 21)");
  EXPECT_EQ(ranking[1].standing, Standing::kLeftOut);
  EXPECT_EQ(ranking[1].reason, "left out: port 1 is DOWN");
  EXPECT_EQ(ranking[1].distance.proximity, Proximity::kSameNumaNode);
}

TEST(NicRankingTest, AllowsAndDenies) {
  const Machine& machine = DiscoverTestMachine("eight_gpus");
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix allowed,
      MakeMatrix(machine, {.allowed = {"ib3", "mlx5_5", "mlx5_1"}}));
  EXPECT_EQ(Row(allowed, "cpu:0"), "mlx5_1 mlx5_3 | mlx5_5");
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix denied,
      MakeMatrix(machine, {.denied = {"mlx5_0", "ib1", "mlx5_2", "mlx5_3"}}));
  EXPECT_EQ(Row(denied, "cuda:0"), "mlx5_4 mlx5_5 mlx5_6 mlx5_7 | ");
  TE_ASSERT_OK_AND_ASSIGN(
      const std::vector<RankedNic> ranking,
      RankNics(machine, At("cpu:0"),
               {.allowed = {"mlx5_0"}, .denied = {"mlx5_7"}}));
  EXPECT_EQ(ranking.front().reason, "next to NUMA node 0");
  EXPECT_EQ(ranking.back().reason, "left out: it is denied");
  EXPECT_EQ(ranking[1].reason, "left out: it is not among the allowed ones");

  EXPECT_THAT(
      MakeMatrix(machine, {.allowed = {"mlx5_0"}, .denied = {"ib0"}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("mlx5_0")));
  for (const NicPolicy& policy :
       {NicPolicy{.allowed = {"mlx5_9"}}, NicPolicy{.denied = {"mlx5_9"}}}) {
    EXPECT_THAT(MakeMatrix(machine, policy),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("mlx5_9")));
  }
}

TEST(NicRankingTest, ProcessesOfAHostBeginWithDifferentNics) {
  const Machine& machine = DiscoverTestMachine("eight_gpus");
  std::set<std::string> first;
  for (uint32_t rank = 0; rank < 4; ++rank) {
    TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix,
                            MakeMatrix(machine, {.spread = rank}));
    const NicPreference& nics = matrix.preferences().at(At("cpu:0"));
    EXPECT_EQ(
        std::set<std::string>(nics.preferred.begin(), nics.preferred.end()),
        (std::set<std::string>{"mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"}))
        << "spreading changes no standing";
    first.insert(nics.preferred.front());
  }
  EXPECT_EQ(first.size(), 4U);
  // What is better stays before what is worse.
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix unequal,
      MakeMatrix(DiscoverTestMachine("four_nodes_per_socket"), {.spread = 1}));
  EXPECT_EQ(Row(unequal, "cpu:0"), "mlx5_2 mlx5_0 mlx5_1 | mlx5_3");
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix large,
                          MakeMatrix(machine, {.spread = UINT32_MAX}));
  EXPECT_EQ(Row(large, "cuda:0").substr(0, 8), "mlx5_0 |");
}

TEST(NicRankingTest, AMachineWithoutNicsHasAnEmptyRanking) {
  EXPECT_THAT(RankNics(DiscoverTestMachine("one_socket"), At("cpu:0"), {}),
              IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(
      RankNics(DiscoverTestMachine("one_socket"), At("cpu:1"), {}).status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no cpu:1")));
}

TEST(NicRankingTest, AHostWithManyVirtualFunctionsHasTheBestOfThem) {
  Machine machine = DiscoverTestMachine("two_sockets");
  for (int i = 0; i < 300; ++i) {
    machine.nics.push_back(machine.nics[0]);
    machine.nics.back().name = absl::StrCat("vf", i);
    machine.nics.back().place.nodes = {i < 200 ? 1 : 0};
  }
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix, MakeMatrix(machine, {}));
  const NicPreference& nics = matrix.preferences().at(At("cpu:0"));
  EXPECT_EQ(nics.preferred.size(), 101U);
  EXPECT_EQ(nics.fallback.size(), 155U);
}

TEST(NicRankingTest, ResolvesTheNamesOfAMatrix) {
  const Machine& machine = DiscoverTestMachine("two_sockets");
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix given,
      PriorityMatrix::FromJson(R"({"cpu:0": [["enp59s0np0"], ["mlx5_1"]]})"));
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix resolved,
                          ResolveMatrix(machine, given));
  EXPECT_EQ(Row(resolved, "cpu:0"), "mlx5_0 | mlx5_1");
  EXPECT_THAT(resolved.nics(), ElementsAre("mlx5_0", "mlx5_1"));

  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix twice,
      PriorityMatrix::FromJson(R"({"cpu:0": [["enp59s0np0"], ["mlx5_0"]]})"));
  EXPECT_THAT(ResolveMatrix(machine, twice),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("mlx5_0 more than once for cpu:0")));
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix unknown,
      PriorityMatrix::FromJson(R"({"cpu:0": [["mlx5_7"], []]})"));
  EXPECT_THAT(ResolveMatrix(machine, unknown),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("mlx5_7")));
}

}  // namespace
}  // namespace te
