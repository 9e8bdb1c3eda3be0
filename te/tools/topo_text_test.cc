#include "te/tools/topo_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/tools/topo_report.h"
#include "te/topology/test_machines.h"

namespace te::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TopoReport Report(const Machine& machine) {
  return MakeTopoReport(machine, {}).value();
}

TEST(TopoTextTest, ShowsAMachine) {
  EXPECT_EQ(
      TopoText(Report(DiscoverTestMachine("two_sockets"))),
      "NUMA nodes\n"
      "  location  socket  memory  CPUs\n"
      "  cpu:0     0       64 GiB  0-3\n"
      "  cpu:1     1       64 GiB  4-7\n"
      "\n"
      "RDMA devices\n"
      "  name    PCI           node  driver     port  state   link      rate   "
      " "
      "  LID  GIDs  netdev\n"
      "  mlx5_0  0000:3b:00.0  0     mlx5_core  1     ACTIVE  Ethernet  100 "
      "Gb/s  -    4     enp59s0np0\n"
      "  mlx5_1  0000:d8:00.0  1     mlx5_core  1     DOWN    Ethernet  40 "
      "Gb/s "
      "  -    0     enp216s0np0  cannot be used: port 1 is DOWN\n"
      "\n"
      "RDMA devices and their netdevs\n"
      "  mlx5_0 port 1 ==> enp59s0np0 (Up)\n"
      "  mlx5_1 port 1 ==> enp216s0np0 (Down)\n"
      "\n"
      "GPUs: none\n"
      "\n"
      "Network interfaces\n"
      "  name         kind      state    speed     MTU    PCI           node\n"
      "  enp59s0np0   physical  up       100 Gb/s  1500   0000:3b:00.0  0\n"
      "  enp216s0np0  physical  down     ?         1500   0000:d8:00.0  1\n"
      "  lo           loopback  unknown  ?         65536  -             -\n"
      "\n"
      "RDMA devices for memory (--explain tells why)\n"
      "  memory  preferred  fallback  left out\n"
      "  cpu:0   mlx5_0     -         mlx5_1\n"
      "  cpu:1   mlx5_0     -         mlx5_1\n"
      "  *       mlx5_0     -         mlx5_1\n");
}

TEST(TopoTextTest, ShowsBondsVirtualFunctionsAndGpuMemory) {
  EXPECT_THAT(TopoText(Report(DiscoverTestMachine("bond"))),
              AllOf(HasSubstr("bond0   bond\n"),
                    HasSubstr("mlx5_bond_0 port 1 ==> bond0 (Up)"),
                    HasSubstr("part of bond0")));
  EXPECT_THAT(TopoText(Report(DiscoverTestMachine("virtual_functions"))),
              HasSubstr("virtual function; cannot be used: port 1 has no GID"));
  EXPECT_THAT(TopoText(Report(DiscoverTestMachine("gpu_memory_node"))),
              HasSubstr("none  memory of the GPU at 0009:01:00.0"));
  // A port without the device's columns.
  EXPECT_THAT(
      TopoText(Report(DiscoverTestMachine("arm"))),
      HasSubstr("\n                                         2     ACTIVE"));
}

TEST(TopoTextTest, EndsWithTheWarnings) {
  Machine machine = DiscoverTestMachine("one_socket");
  machine.warnings = {"mlx5_9 has vanished"};
  EXPECT_THAT(TopoText(Report(machine)),
              AllOf(HasSubstr("RDMA devices: none\n"),
                    HasSubstr("\nWarning: mlx5_9 has vanished\n"),
                    Not(HasSubstr("for memory"))));
}

TEST(TopoTextTest, Explains) {
  const TopoReport report = Report(DiscoverTestMachine("two_sockets"));
  EXPECT_EQ(ExplainText(report, report.locations.at(1)),
            "RDMA devices for cpu:1\n"
            "             device  class           why\n"
            "  preferred  mlx5_0  other_socket    next to NUMA node 0, in "
            "another socket (NUMA latency 21)\n"
            "  -          mlx5_1  same_numa_node  left out: port 1 is DOWN\n");
  EXPECT_THAT(ExplainText(report, report.locations.back()),
              HasSubstr("preferred  mlx5_0  -      for memory that may be"));
}

}  // namespace
}  // namespace te::tools
