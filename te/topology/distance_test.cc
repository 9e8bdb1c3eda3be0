#include "te/topology/distance.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/topology/machine.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MemoryLocation At(const char* text) {
  return MemoryLocation::Parse(text).value();
}

struct Case {
  const char* machine;
  const char* location;
  size_t nic;  // an index
  Proximity proximity;
  const char* way;
};

TEST(DistanceTest, Classes) {
  const Case cases[] = {
      {"two_sockets", "cpu:0", 0, Proximity::kSameNumaNode,
       "next to NUMA node 0"},
      {"two_sockets", "cpu:1", 0, Proximity::kOtherSocket,
       "next to NUMA node 0, in another socket (NUMA latency 21)"},
      {"eight_gpus", "cuda:0", 0, Proximity::kSameSwitch,
       "below the same PCIe switch at 0000:11:00.0"},
      {"eight_gpus", "cuda:0", 1, Proximity::kSameRootComplex,
       "below the same root complex, buses 0000:[10-2f]"},
      {"eight_gpus", "cuda:0", 2, Proximity::kSameNumaNode,
       "next to NUMA node 0"},
      {"eight_gpus", "cuda:0", 4, Proximity::kOtherSocket,
       "next to NUMA node 1, in another socket (NUMA latency 21)"},
      {"eight_gpus", "cpu:1", 7, Proximity::kSameNumaNode,
       "next to NUMA node 1"},
      {"four_nodes_per_socket", "cpu:1", 0, Proximity::kSameNumaNode,
       "next to NUMA node 1"},
      {"four_nodes_per_socket", "cpu:0", 0, Proximity::kSameSocket,
       "next to NUMA node 1, in the same socket (NUMA latency 12)"},
      {"four_nodes_per_socket", "cpu:0", 3, Proximity::kOtherSocket,
       "next to NUMA node 5, in another socket (NUMA latency 32)"},
      {"arm", "cpu:0", 0, Proximity::kSameNumaNode, "next to NUMA node 0"},
      {"gpu_memory_node", "cpu:0", 0, Proximity::kSameNumaNode,
       "next to NUMA node 0"},
      // By its GPU, which has no bridge in common with the NIC.
      {"gpu_memory_node", "cpu:1", 0, Proximity::kSameNumaNode,
       "next to NUMA node 0"},
      {"gpu_memory_node", "cuda:0", 0, Proximity::kSameNumaNode,
       "next to NUMA node 0"},
      {"bond", "cpu:0", 0, Proximity::kOtherSocket,
       "next to NUMA node 1, in another socket (NUMA latency 20)"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.machine) + " " + c.location);
    const Machine& machine = DiscoverTestMachine(c.machine);
    const DevicePlace& nic = machine.nics.at(c.nic).place;
    TE_ASSERT_OK_AND_ASSIGN(const DevicePlace memory,
                            PlaceOf(machine, At(c.location)));
    const Distance distance = DistanceBetween(machine, memory, nic);
    EXPECT_EQ(ProximityName(distance.proximity), ProximityName(c.proximity));
    EXPECT_EQ(distance, DistanceBetween(machine, nic, memory));
    EXPECT_EQ(DescribeWay(machine, memory, nic), c.way);
  }
}

TEST(DistanceTest, OrdersByClassThenByLatency) {
  const Distance near = {Proximity::kSameNumaNode, 10};
  const Distance one_hop = {Proximity::kOtherSocket, 21};
  const Distance two_hops = {Proximity::kOtherSocket, 31};
  EXPECT_LT(near, one_hop);
  EXPECT_LT(one_hop, two_hops);
  EXPECT_LT(two_hops, Distance{}) << "unknown is far";
}

TEST(DistanceTest, WhatIsNextToAllNodesIsNextToNone) {
  Machine machine = DiscoverTestMachine("two_sockets");
  machine.nics[0].place.nodes = {0, 1};
  TE_ASSERT_OK_AND_ASSIGN(const DevicePlace memory,
                          PlaceOf(machine, At("cpu:0")));
  EXPECT_EQ(DistanceBetween(machine, memory, machine.nics[0].place).proximity,
            Proximity::kOtherSocket);
  EXPECT_EQ(DescribeWay(machine, memory, machine.nics[0].place),
            "next to NUMA nodes 0, 1, so to none in particular (NUMA latency "
            "10)");
  machine.nics[0].place.nodes = {};
  EXPECT_THAT(DescribeWay(machine, memory, machine.nics[0].place),
              HasSubstr("nobody knows"));
}

TEST(DistanceTest, LocationsOfAMachine) {
  const auto locations = [](const char* machine) {
    std::vector<std::string> names;
    for (const MemoryLocation& l : LocationsOf(DiscoverTestMachine(machine))) {
      names.push_back(l.ToString());
    }
    return names;
  };
  EXPECT_THAT(locations("one_socket"), ElementsAre("cpu:0", "*"));
  EXPECT_THAT(locations("gpu_memory_node"),
              ElementsAre("cpu:0", "cpu:1", "cuda:0", "*"));
}

TEST(DistanceTest, AnUnknownLocationIsAnError) {
  const Machine& machine = DiscoverTestMachine("gpu_memory_node");
  for (const char* location : {"cpu:2", "cuda:1"}) {
    EXPECT_THAT(PlaceOf(machine, At(location)).status(),
                StatusIs(absl::StatusCode::kNotFound,
                         HasSubstr("it has cpu:0, cpu:1, cuda:0, *")))
        << location;
  }
}

}  // namespace
}  // namespace te
