#include "te/bench/startup_log.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/topology/machine.h"
#include "te/topology/numa_node.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te::bench {
namespace {

using testing::ElementsAre;

TEST(StartupLogTest, TellsOfInterfacesAndWhyOnesAreSkipped) {
  TE_ASSERT_OK_AND_ASSIGN(const SocketAddress address,
                          SocketAddress::FromIp("10.0.0.7", 0));
  const NetworkInterface eth0 = {
      .name = "eth0", .addresses = {address}, .up = true};
  const NetworkInterface eth1 = {.name = "eth1"};
  const AdvertisingRanking ranking = {
      .skipped = {{.interface = "eth1", .reason = "is down"},
                  {.interface = "eth0",
                   .address = "fe80::1",
                   .reason = "is link-local"}}};
  EXPECT_THAT(DescribeInterfaces({eth0, eth1}, ranking),
              ElementsAre("found interface eth0: 10.0.0.7",
                          "found interface eth1: no IP address",
                          "skipped interface eth1: it is down",
                          "skipped interface eth0 address fe80::1: it is "
                          "link-local"));
}

TEST(StartupLogTest, TellsOfTheMachine) {
  EXPECT_THAT(
      DescribeMachine(DiscoverTestMachineByXml("two_sockets")),
      ElementsAre("numa node num: 2", "NUMA node 0: CPUs 0-3, 64 GiB",
                  "NUMA node 1: CPUs 4-7, 64 GiB",
                  "found RDMA device mlx5_0 (port 1 ACTIVE on netdev "
                  "enp59s0np0), NUMA node 0, PCI 0000:3b:00.0",
                  "found RDMA device mlx5_1 (port 1 DOWN on netdev "
                  "enp216s0np0), NUMA node 1, PCI 0000:d8:00.0; cannot be used "
                  "now: port 1 is DOWN"));
  Machine machine = DiscoverTestMachineByXml("gpu_memory_node");
  machine.nodes[1].allowed = false;
  machine.nics[0].ports[0].rate_gbps = 200;
  EXPECT_THAT(
      DescribeMachine(machine),
      ElementsAre("numa node num: 2", "NUMA node 0: CPUs 0-7, 480 GiB",
                  "NUMA node 1: CPUs none, 96 GiB of the GPU at 0009:01:00.0; "
                  "not allowed (cpuset)",
                  "found RDMA device mlx5_0 (port 1 ACTIVE on netdev "
                  "enP6p1s0), NUMA node 0, PCI 0006:01:00.0, 200 Gb/s",
                  "found GPU cuda:0 NVIDIA GH100 [GH200 120GB / 480GB], NUMA "
                  "node 0, PCI 0009:01:00.0"));
  EXPECT_THAT(DescribeMachine(Machine{.nodes = {NumaNode{.cpus = {0, 1, 8}}}}),
              ElementsAre("numa node num: 1", "NUMA node 0: CPUs 0-1,8, 0 B",
                          "found no RDMA device"));
}

TEST(StartupLogTest, TellsWhichDevicesServeWhichMemory) {
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix matrix,
      PriorityMatrix::FromJson(R"({"cpu:0": [["a", "b"], ["c"]],
                                   "cpu:7": [["c"], []], "*": [[], ["a"]]})"));
  EXPECT_THAT(
      DescribeMatrix(DiscoverTestMachineByXml("two_sockets"), matrix),
      ElementsAre("RDMA devices for *: otherwise a",
                  "RDMA devices for cpu:0: a, b; otherwise c",
                  "RDMA devices for cpu:7: c; the machine has no such memory"));
}

TEST(StartupLogTest, ThisMachineHasANode) {
  EXPECT_FALSE(FindMachine()->nodes.empty());
}

}  // namespace
}  // namespace te::bench
