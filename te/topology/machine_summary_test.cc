#include "te/topology/machine_summary.h"

#include "gtest/gtest.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

TEST(MachineSummaryTest, CountsWhatThereIs) {
  EXPECT_EQ(SummarizeMachine(DiscoverTestMachineByXml("one_socket")),
            "1 NUMA node, no RDMA devices, no GPUs");
  EXPECT_EQ(SummarizeMachine(DiscoverTestMachineByXml("eight_gpus")),
            "2 NUMA nodes, 8 RDMA devices, 8 GPUs");
}

TEST(MachineSummaryTest, SaysWhichNicsCannotBeUsed) {
  EXPECT_EQ(SummarizeMachine(DiscoverTestMachineByXml("two_sockets")),
            "2 NUMA nodes, 2 RDMA devices of which 1 cannot be used (mlx5_1: "
            "port 1 is DOWN), no GPUs");
}

}  // namespace
}  // namespace te
