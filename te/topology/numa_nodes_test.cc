#include "te/topology/numa_nodes.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/hwloc_topology.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(NumaNodesTest, ListsThisMachine) {
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTopology topology,
                          HwlocTopology::OfThisMachine());
  const std::vector<NumaNode> nodes = NumaNodesOf(topology);
  ASSERT_THAT(nodes, Not(IsEmpty()));
  EXPECT_TRUE(std::any_of(nodes.begin(), nodes.end(), [](const NumaNode& node) {
    return !node.cpus.empty() && node.memory_bytes > 0;
  }));
}

TEST(NumaNodesTest, TwoNodes) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTopology topology,
      HwlocTopology::FromSynthetic("numa:2(memory=1GiB) core:2 pu:1"));
  EXPECT_THAT(NumaNodesOf(topology),
              ElementsAre(NumaNode{0, {0, 1}, uint64_t{1} << 30},
                          NumaNode{1, {2, 3}, uint64_t{1} << 30}));
}

TEST(NumaNodesTest, SortsByTheKernelsNumber) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTopology topology,
      HwlocTopology::FromSynthetic("numa:2(memory=1GiB indexes=3,1) pu:1"));
  EXPECT_THAT(NumaNodesOf(topology),
              ElementsAre(NumaNode{1, {1}, uint64_t{1} << 30},
                          NumaNode{3, {0}, uint64_t{1} << 30}));
}

TEST(NumaNodesTest, AMachineWithoutNumaIsOneNode) {
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTopology topology,
                          HwlocTopology::FromSynthetic("core:2 pu:1"));
  const std::vector<NumaNode> nodes = NumaNodesOf(topology);
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_THAT(nodes[0].cpus, ElementsAre(0, 1));
}

}  // namespace
}  // namespace te
