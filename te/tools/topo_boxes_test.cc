#include "te/tools/topo_boxes.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "te/tools/topo_report.h"
#include "te/topology/test_machines.h"

namespace te::tools {
namespace {

Box BoxesOfMachine(const char* name) {
  return BoxesOf(MakeTopoReport(DiscoverTestMachineByXml(name), {}).value());
}

// The first lines, what is within in parentheses.
std::string Outline(const Box& box) {
  if (box.children.empty()) return box.lines.front();
  return absl::StrCat(box.lines.front(), "(",
                      absl::StrJoin(box.children, ", ",
                                    [](std::string* out, const Box& child) {
                                      absl::StrAppend(out, Outline(child));
                                    }),
                      ")");
}

TEST(TopoBoxesTest, DevicesAreInTheBoxesOfTheirSwitchesAndNodes) {
  EXPECT_EQ(Outline(BoxesOfMachine("two_sockets")),
            "Machine(Socket 0(NUMA node 0: 64 GiB(root complex "
            "0000:[3a-3b](mlx5_0))), Socket 1(NUMA node 1: 64 GiB(root complex "
            "0000:[d7-d8](mlx5_1))))");
  const std::string eight = Outline(BoxesOfMachine("eight_gpus"));
  EXPECT_NE(eight.find("root complex 0000:[10-2f](PCIe switch "
                       "0000:11:00.0(cuda:0, mlx5_0), PCIe switch "
                       "0000:21:00.0(cuda:1, mlx5_1))"),
            std::string::npos)
      << eight;
  EXPECT_EQ(Outline(BoxesOfMachine("one_socket")),
            "Machine(Socket 0(NUMA node 0: 8 GiB(root complex "
            "0000:[00-00](eth0))))");
}

TEST(TopoBoxesTest, WhatIsNextToNoNodeInParticularIsInTheMachine) {
  Machine machine = DiscoverTestMachineByXml("two_sockets");
  machine.nics[0].place = {};
  machine.bridges[2].nodes = {0, 1};
  EXPECT_EQ(Outline(BoxesOf(MakeTopoReport(machine, {}).value())),
            "Machine(Socket 0(NUMA node 0: 64 GiB), Socket 1(NUMA node 1: 64 "
            "GiB), root complex 0000:[d7-d8](mlx5_1), mlx5_0)");
}

void ExpectWithin(const Box& box) {
  for (const Box& child : box.children) {
    EXPECT_GE(child.x, box.x);
    EXPECT_GE(child.y, box.y);
    EXPECT_LE(child.x + child.width, box.x + box.width);
    EXPECT_LE(child.y + child.height, box.y + box.height);
    for (const Box& other : box.children) {
      const bool apart = &other == &child || other.x >= child.x + child.width ||
                         child.x >= other.x + other.width ||
                         other.y >= child.y + child.height ||
                         child.y >= other.y + other.height;
      EXPECT_TRUE(apart) << child.lines.front() << ", " << other.lines.front();
    }
    ExpectWithin(child);
  }
}

TEST(TopoBoxesTest, BoxesAreWithinTheirParentsAndApart) {
  for (const char* name : {"eight_gpus", "four_nodes_per_socket",
                           "sixteen_nics", "gpu_memory_node"}) {
    SCOPED_TRACE(name);
    Box machine = BoxesOfMachine(name);
    LayOut(machine, 10, 20);
    EXPECT_EQ(machine.x, 10);
    EXPECT_EQ(machine.y, 20);
    ExpectWithin(machine);
  }
}

TEST(TopoBoxesTest, DeepTreesAreLaidOutOnce) {
  Box box = {.lines = {"device"}};
  for (int depth = 0; depth < 90; ++depth) {
    Box wide = {.lines = {std::string(200, 'x')}};
    box = {.lines = {"bridge"}, .children = {wide, box}};
  }
  LayOut(box, 0, 0);  // twice at each level would take for ever
  ExpectWithin(box);
}

TEST(TopoBoxesTest, SeveralFunctionsOfADeviceHaveNoSwitch) {
  const std::string outline = Outline(BoxesOfMachine("virtual_functions"));
  EXPECT_NE(outline.find("PCIe port 0000:5d:00.0(mlx5_0, mlx5_1, mlx5_2)"),
            std::string::npos)
      << outline;
}

}  // namespace
}  // namespace te::tools
