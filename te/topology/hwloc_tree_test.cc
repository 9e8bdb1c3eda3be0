#include "te/topology/hwloc_tree.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A machine with `content` in it.
std::string Xml(absl::string_view content, absl::string_view after = "") {
  return absl::StrCat(
      R"(<topology version="2.0"><object type="Machine" cpuset="0xf" )",
      R"(nodeset="0x3">)", content, "</object>", after, "</topology>");
}

constexpr absl::string_view kTwoNodes =
    R"(<object type="NUMANode" os_index="0" cpuset="0x3"/>)"
    R"(<object type="NUMANode" os_index="1" cpuset="0xc"/>)";

TEST(HwlocTreeTest, PlacesWhatIsBelowWhat) {
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTree tree,
                          ParseHwlocTree(ReadTestMachine("two_sockets.xml")));
  EXPECT_THAT(tree.warnings, IsEmpty());
  ASSERT_THAT(tree.bridges, SizeIs(4));
  EXPECT_EQ(tree.bridges[0].kind, PciBridge::Kind::kHost);
  EXPECT_EQ(tree.bridges[0].buses, "0000:[3a-3b]");
  EXPECT_EQ(tree.bridges[0].parent, -1);
  EXPECT_EQ(tree.bridges[1].kind, PciBridge::Kind::kPci);
  EXPECT_EQ(tree.bridges[1].pci->ToString(), "0000:3a:00.0");
  EXPECT_EQ(tree.bridges[1].parent, 0);
  EXPECT_EQ(tree.bridges[3].parent, 2);
  ASSERT_THAT(tree.functions, SizeIs(2));
  EXPECT_EQ(tree.functions[1].place.bridge, 3);
  EXPECT_THAT(tree.functions[1].place.nodes, ElementsAre(1));
  EXPECT_EQ(tree.functions[1].class_id, 0x0200);
  EXPECT_EQ(tree.functions[1].vendor_id, 0x15b3);
  EXPECT_EQ(tree.functions[1].device_id, 0x1017);
  ASSERT_THAT(tree.os_devices, SizeIs(4));
  EXPECT_EQ(tree.os_devices[3].name, "mlx5_1");
  EXPECT_EQ(tree.os_devices[3].place.pci->ToString(), "0000:d8:00.0");
  EXPECT_EQ(tree.os_devices[3].infos.at("Port1State"), "1");
}

TEST(HwlocTreeTest, ReadsTheFormatOfHwloc1) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTree tree,
      ParseHwlocTree(
          R"(<topology><object type="Machine" os_index="0" cpuset="0xf">
               <object type="NUMANode" os_index="0" cpuset="0x3" nodeset="0x1"
                       local_memory="1024">
                 <object type="Socket" os_index="5" nodeset="0x1"/>
                 <object type="Bridge" bridge_type="0-1"
                         bridge_pci="0000:[00-04]">
                   <object type="PCIDev" pci_busid="0000:04:00.0"
                           pci_type="0c06 [15b3:1003] [15b3:0048] 00">
                     <object type="OSDev" name="mlx4_0" osdev_type="3"/>
                   </object>
                 </object>
               </object>
               <object type="NUMANode" os_index="1" cpuset="0xc" nodeset="0x2"/>
             </object></topology>)"));
  ASSERT_THAT(tree.nodes, SizeIs(2));
  EXPECT_EQ(tree.nodes[0].memory_bytes, 1024U);
  EXPECT_EQ(tree.nodes[0].package, 5);
  EXPECT_EQ(tree.nodes[1].package, -1);
  ASSERT_THAT(tree.os_devices, SizeIs(1));
  EXPECT_THAT(tree.os_devices[0].place.nodes, ElementsAre(0));
}

TEST(HwlocTreeTest, AMachineWithoutNumaIsOneNode) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTree tree,
      ParseHwlocTree(R"(<topology><object type="Machine" cpuset="0x5"
                        local_memory="77"/></topology>)"));
  ASSERT_THAT(tree.nodes, SizeIs(1));
  EXPECT_EQ(tree.nodes[0].index, 0);
  EXPECT_THAT(tree.nodes[0].cpus, ElementsAre(0, 2));
  EXPECT_EQ(tree.nodes[0].memory_bytes, 77U);
}

TEST(HwlocTreeTest, ReadsLargeSets) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTree tree,
      ParseHwlocTree(Xml(
          R"(<object type="NUMANode" os_index="0" cpuset="0x1,,0x80000001"/>)")));
  EXPECT_THAT(tree.nodes.at(0).cpus, ElementsAre(0, 31, 64));
}

TEST(HwlocTreeTest, LatenciesMayHaveGapsInTheNumbersOfNodes) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTree tree,
      ParseHwlocTree(
          Xml(kTwoNodes,
              R"(<distances2 type="NUMANode" nbobjs="2" kind="5">)"
              R"(<indexes length="2">0 </indexes><indexes>8 </indexes>)"
              R"(<u64values>10 80 </u64values><u64values>81 10</u64values>)"
              "</distances2>"
              // Bandwidths, and distances between other things.
              R"(<distances2 type="NUMANode" kind="9"/>)"
              R"(<distances2 type="Core" kind="5"/>)")));
  EXPECT_THAT(tree.warnings, IsEmpty());
  EXPECT_EQ(tree.numa_latencies.at({0, 8}), 80);
  EXPECT_EQ(tree.numa_latencies.at({8, 0}), 81);
}

TEST(HwlocTreeTest, BusesAreBusesOrNothing) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HwlocTree tree,
      ParseHwlocTree(Xml(R"(<object type="Bridge" bridge_type="0-1" )"
                         R"(bridge_pci="&#27;[31m"/>)"
                         R"(<object type="Bridge" bridge_type="0-1" )"
                         R"(bridge_pci="0000:[17-39]"/>)")));
  ASSERT_THAT(tree.bridges, SizeIs(2));
  EXPECT_EQ(tree.bridges[0].buses, "");
  EXPECT_EQ(tree.bridges[1].buses, "0000:[17-39]");
}

struct Odd {
  std::string xml;
  const char* complaint;
};

TEST(HwlocTreeTest, RefusesWhatIsNoTopology) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "<object type=\"Group\">";
  for (int i = 0; i < 1000; ++i) deep += "</object>";
  std::string packages;
  for (int i = 0; i < 1025; ++i) packages += R"(<object type="Package"/>)";
  std::string nodes;
  for (int i = 0; i < 513; ++i) {
    absl::StrAppend(&nodes, R"(<object type="NUMANode" os_index=")", i,
                    R"("/>)");
  }
  const Odd cases[] = {
      {"", "No document element found"},
      {"mlx5_0", "No document element found"},
      {"<html></html>", "it begins with <html>"},
      {"<topology>\n<object\n</topology>", "line 3"},
      {"<topology/>", "it has no object"},
      {R"(<topology version="3.0"><object/></topology>)",
       "its format is '3.0'"},
      {Xml(R"(<object type="NUMANode"/>)"), "a NUMA node with the number ''"},
      {Xml(R"(<object type="NUMANode" os_index="-1"/>)"), "the number '-1'"},
      {Xml(R"(<object type="NUMANode" os_index="1"/>)"
           R"(<object type="NUMANode" os_index="1"/>)"),
       "the NUMA node 1 more than once"},
      {Xml(deep), "nested more than 100 levels deep"},
      {Xml(packages), "more than 1024 packages"},
      {Xml(nodes), "more than 512 NUMA nodes"},
      {std::string((16 << 20) + 1, ' '), "more than 16 MiB"},
  };
  for (const Odd& odd : cases) {
    EXPECT_THAT(
        ParseHwlocTree(odd.xml).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(odd.complaint)))
        << odd.xml.substr(0, 200);
  }
}

TEST(HwlocTreeTest, LeavesOutWhatItDoesNotUnderstandAndSaysSo) {
  const Odd cases[] = {
      {Xml(R"(<object type="PCIDev" pci_busid="nowhere"/>)"),
       "a PCI device: 'nowhere' is no PCI address"},
      {Xml(R"(<object type="PCIDev" pci_busid="0000:01:00.0" pci_type="x"/>)"),
       "the PCI device 0000:01:00.0: its pci_type 'x'"},
      {Xml(R"(<object type="Bridge" bridge_type="1-1" pci_busid="?"/>)"),
       "a bridge: '?' is no PCI address"},
      {Xml(R"(<object type="OSDev" osdev_type="3" name="a b"/>)"),
       "'a b' is no name of a device"},
      {Xml(R"(<object type="NUMANode" os_index="0" cpuset="0xf">)"
           R"(<info name="PCIBusID" value="x"/></object>)"),
       "NUMA node 0: PCIBusID 'x'"},
      {Xml(kTwoNodes,
           R"(<distances2 type="NUMANode" kind="5"><indexes>0 1</indexes>)"
           "<u64values>10 20 x 10</u64values></distances2>"),
       "the matrix of latencies"},
      {Xml(kTwoNodes,
           R"(<distances2 type="NUMANode" kind="5"><indexes>0 1</indexes>)"
           "<u64values>10 20 10</u64values></distances2>"),
       "the matrix of latencies"},
  };
  for (const Odd& odd : cases) {
    TE_ASSERT_OK_AND_ASSIGN(const HwlocTree tree, ParseHwlocTree(odd.xml));
    EXPECT_THAT(tree.warnings, ElementsAre(HasSubstr(odd.complaint)));
    EXPECT_THAT(tree.os_devices, IsEmpty());
  }
}

}  // namespace
}  // namespace te
