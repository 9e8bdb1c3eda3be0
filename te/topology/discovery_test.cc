#include "te/topology/discovery.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/gpu.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> Names(const std::vector<Nic>& nics) {
  std::vector<std::string> names;
  for (const Nic& nic : nics) names.push_back(nic.name);
  return names;
}

TEST(DiscoveryTest, ThisMachine) {
  TE_ASSERT_OK_AND_ASSIGN(const Machine machine, DiscoverMachine());
  ASSERT_FALSE(machine.nodes.empty());
  EXPECT_FALSE(machine.nodes.front().cpus.empty());
  EXPECT_GT(machine.nodes.front().memory_bytes, 0U);
  const NetDevice* loopback = FindNetDevice(machine, "lo");
  ASSERT_NE(loopback, nullptr);
  EXPECT_EQ(loopback->kind, NetDeviceKind::kLoopback);
}

TEST(DiscoveryTest, OneSocketWithoutNics) {
  const Machine& machine = DiscoverTestMachine("one_socket");
  EXPECT_THAT(machine.nics, IsEmpty());
  EXPECT_THAT(machine.gpus, IsEmpty()) << "the console's VGA is no GPU";
  EXPECT_THAT(machine.warnings, IsEmpty());
  ASSERT_EQ(machine.nodes.size(), 1U);
  EXPECT_THAT(machine.nodes[0].cpus, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(machine.nodes[0].memory_bytes, uint64_t{8} << 30);
  EXPECT_EQ(machine.nodes[0].package, 0);
  const NetDevice* eth0 = FindNetDevice(machine, "eth0");
  ASSERT_NE(eth0, nullptr);
  EXPECT_EQ(eth0->kind, NetDeviceKind::kPhysical);
  EXPECT_EQ(eth0->place.pci->ToString(), "0000:00:03.0");
  EXPECT_EQ(eth0->place.numa_node(), 0) << "there is no other";
  EXPECT_EQ(eth0->speed_mbps, 0) << "virtio does not say";
}

TEST(DiscoveryTest, TwoSocketsOneNicDown) {
  const Machine& machine = DiscoverTestMachine("two_sockets");
  EXPECT_THAT(machine.warnings, IsEmpty());
  ASSERT_THAT(Names(machine.nics), ElementsAre("mlx5_0", "mlx5_1"));
  const Nic& up = machine.nics[0];
  EXPECT_EQ(up.place.pci->ToString(), "0000:3b:00.0");
  EXPECT_EQ(up.place.numa_node(), 0);
  EXPECT_GE(up.place.bridge, 0);
  EXPECT_EQ(up.driver, "mlx5_core");
  EXPECT_FALSE(up.virtual_function);
  EXPECT_FALSE(up.bond);
  ASSERT_EQ(up.ports.size(), 1U);
  const NicPort& port = up.ports[0];
  EXPECT_EQ(port.number, 1);
  EXPECT_EQ(port.state, PortState::kActive);
  EXPECT_EQ(port.link_layer, LinkLayer::kEthernet);
  EXPECT_EQ(port.rate_gbps, 100);
  EXPECT_EQ(port.netdev, "enp59s0np0");
  ASSERT_TRUE(port.gids.has_value());
  ASSERT_EQ(port.gids->size(), 4U) << "entries of zeros are not in use";
  EXPECT_EQ(port.gids->at(3).index, 3);
  EXPECT_EQ(port.gids->at(3).gid.ToString(), "::ffff:10.0.0.1");
  EXPECT_EQ(port.gids->at(3).type, GidType::kRoceV2);
  EXPECT_EQ(port.gids->at(2).type, GidType::kRoceV1);
  EXPECT_EQ(port.gids->at(3).netdev, "enp59s0np0");
  EXPECT_EQ(WhyUnusable(up), "");

  const Nic& down = machine.nics[1];
  EXPECT_EQ(down.place.numa_node(), 1);
  EXPECT_EQ(down.ports[0].netdev, "enp216s0np0") << "known by the PCI function";
  EXPECT_EQ(WhyUnusable(down), "port 1 is DOWN");
  EXPECT_EQ(machine.numa_latencies.at({0, 1}), 21);
  EXPECT_EQ(machine.numa_latencies.at({1, 1}), 10);
}

TEST(DiscoveryTest, EightGpusEightNics) {
  const Machine& machine = DiscoverTestMachine("eight_gpus");
  EXPECT_THAT(machine.warnings, IsEmpty());
  ASSERT_EQ(machine.gpus.size(), 8U);
  ASSERT_EQ(machine.nics.size(), 8U);
  for (int i = 0; i < 8; ++i) {
    const Gpu& gpu = machine.gpus[i];
    EXPECT_EQ(gpu.index, i);
    EXPECT_EQ(gpu.place.numa_node(), i / 4);
    EXPECT_EQ(gpu.name, "NVIDIA GH100 [H100 SXM5 80GB]");
    const NicPort& port = machine.nics[i].ports.at(0);
    EXPECT_EQ(port.link_layer, LinkLayer::kInfiniBand);
    EXPECT_EQ(port.lid, i + 1);
    EXPECT_EQ(port.rate_gbps, 400);
    EXPECT_EQ(port.netdev, absl::StrCat("ib", i));
    EXPECT_EQ(port.gids->at(0).type, GidType::kInfiniBand);
  }
}

TEST(DiscoveryTest, CudasOwnNumbersOfGpusCount) {
  const std::string first = R"(<object type="PCIDev" pci_busid="0000:13:00.0")";
  const std::string second =
      R"(<object type="PCIDev" pci_busid="0000:23:00.0")";
  std::string xml = ReadTestMachine("eight_gpus.xml");
  const auto name = [&](const std::string& device, const char* cuda) {
    const size_t end = xml.find("/>", xml.find("PCIDevice", xml.find(device)));
    xml.insert(
        end + 2,
        absl::StrCat(R"(<object type="OSDev" osdev_type="5" name=")", cuda,
                     R"("><info name="GPUModel" value="H100"/>)", "</object>"));
  };
  name(first, "cuda1");
  name(second, "cuda0");
  TE_ASSERT_OK_AND_ASSIGN(const Machine machine, DiscoverMachine(xml, ""));
  ASSERT_EQ(machine.gpus.size(), 8U);
  EXPECT_EQ(machine.gpus[0].index, 1);
  EXPECT_EQ(machine.gpus[0].name, "H100");
  EXPECT_EQ(machine.gpus[1].index, 0);
  EXPECT_EQ(machine.gpus[2].index, 2);
  EXPECT_EQ(machine.gpus[2].name, "NVIDIA GH100 [H100 SXM5 80GB]");
}

// hwloc has one place for all that is below a root complex.
TEST(DiscoveryTest, SysfsKnowsTheNodeOfAGpu) {
  SysfsCopy sysfs(ReadTestMachine("eight_gpus.sysfs"));
  sysfs.Add("[bus/pci/devices/0000:13:00.0]\nnuma_node = 1\n");
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(ReadTestMachine("eight_gpus.xml"), sysfs.root()));
  EXPECT_EQ(machine.gpus.at(0).place.numa_node(), 1);
  EXPECT_EQ(machine.gpus.at(1).place.numa_node(), 0);
}

TEST(DiscoveryTest, LooksAtABoundedNumberOfNics) {
  std::string xml = R"(<topology><object type="Machine" nodeset="0x1">)";
  for (int i = 0; i < 1025; ++i) {
    absl::StrAppend(&xml, R"(<object type="OSDev" osdev_type="3" name="n)", i,
                    R"("/>)");
  }
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(absl::StrCat(xml, "</object></topology>"), ""));
  EXPECT_EQ(machine.nics.size(), 1024U);
  EXPECT_THAT(machine.warnings,
              ElementsAre(HasSubstr("of 1025 RDMA devices only 1024")));
}

TEST(DiscoveryTest, Bond) {
  const Machine& machine = DiscoverTestMachine("bond");
  ASSERT_THAT(Names(machine.nics), ElementsAre("mlx5_bond_0"));
  const Nic& nic = machine.nics[0];
  EXPECT_TRUE(nic.bond);
  EXPECT_EQ(nic.place.numa_node(), 1);
  EXPECT_EQ(nic.ports[0].netdev, "bond0");
  EXPECT_EQ(FindNetDevice(machine, "bond0")->kind, NetDeviceKind::kBond);
  EXPECT_EQ(FindNetDevice(machine, "bond0.100")->kind, NetDeviceKind::kVlan);
  EXPECT_EQ(FindNetDevice(machine, "eth3")->master, "bond0");
}

TEST(DiscoveryTest, VirtualFunctions) {
  const Machine& machine = DiscoverTestMachine("virtual_functions");
  ASSERT_THAT(Names(machine.nics), ElementsAre("mlx5_0", "mlx5_1", "mlx5_2"));
  EXPECT_FALSE(machine.nics[0].virtual_function);
  EXPECT_TRUE(machine.nics[1].virtual_function);
  EXPECT_EQ(WhyUnusable(machine.nics[1]), "");
  EXPECT_THAT(WhyUnusable(machine.nics[2]),
              HasSubstr("port 1 has no GID; has ens1f0v1 an IP address"));
  EXPECT_EQ(FindNetDevice(machine, "ens1f0v0")->kind,
            NetDeviceKind::kVirtualFunction);
}

TEST(DiscoveryTest, ArmWithTwoPortsOfOneFunction) {
  const Machine& machine = DiscoverTestMachine("arm");
  ASSERT_THAT(Names(machine.nics), ElementsAre("mlx4_0"));
  const Nic& nic = machine.nics[0];
  EXPECT_EQ(nic.place.pci->ToString(), "000c:01:00.0");
  ASSERT_EQ(nic.ports.size(), 2U);
  EXPECT_EQ(nic.ports[0].netdev, "enp1s0");
  EXPECT_EQ(nic.ports[1].netdev, "enp1s0d1");
  EXPECT_EQ(WhyUnusable(nic), "") << "the second port is active";
  EXPECT_EQ(MainPort(nic)->number, 2);
}

TEST(DiscoveryTest, GpuMemoryIsANumaNode) {
  const Machine& machine = DiscoverTestMachine("gpu_memory_node");
  ASSERT_EQ(machine.nodes.size(), 2U);
  EXPECT_EQ(machine.nodes[1].gpu->ToString(), "0009:01:00.0");
  EXPECT_THAT(machine.nodes[1].cpus, IsEmpty());
  EXPECT_FALSE(machine.nodes[0].gpu.has_value());
  ASSERT_EQ(machine.gpus.size(), 1U);
  EXPECT_EQ(machine.gpus[0].place.numa_node(), 0) << "where the CPUs are";
  EXPECT_EQ(machine.nics.at(0).place.numa_node(), 0);
}

TEST(DiscoveryTest, VirtualMachineWithAGpu) {
  const Machine& machine = DiscoverTestMachine("h200_vm");
  ASSERT_EQ(machine.gpus.size(), 1U);
  EXPECT_EQ(machine.gpus[0].name, "NVIDIA 10de:2335");
  EXPECT_EQ(machine.gpus[0].place.numa_node(), 0);
  EXPECT_EQ(FindNetDevice(machine, "eth0")->place.pci->ToString(),
            "0000:00:03.0");
}

// What the kernel really shows of Soft-RoCE.
TEST(DiscoveryTest, SoftRoceOnTwoInterfaces) {
  const Machine& machine = DiscoverTestMachine("soft_roce");
  EXPECT_THAT(machine.warnings, IsEmpty());
  ASSERT_THAT(Names(machine.nics), ElementsAre("rxe0", "rxe1"));
  const Nic& nic = machine.nics[0];
  EXPECT_EQ(nic.kind, NicKind::kChannelAdapter);
  EXPECT_FALSE(nic.place.pci.has_value());
  EXPECT_THAT(nic.place.nodes, ElementsAre(0, 1)) << "as its netdev";
  EXPECT_GE(nic.place.bridge, 0);
  ASSERT_EQ(nic.ports.size(), 1U);
  EXPECT_EQ(nic.ports[0].netdev, "eth0");
  ASSERT_EQ(nic.ports[0].gids->size(), 4U);
  EXPECT_EQ(nic.ports[0].gids->at(1).gid.ToString(), "::ffff:10.0.0.1");
  EXPECT_EQ(nic.ports[0].gids->at(1).type, GidType::kRoceV2);
  EXPECT_EQ(WhyUnusable(nic), "");
  EXPECT_EQ(WhyUnusable(machine.nics[1]), "port 1 is DOWN");
}

TEST(DiscoveryTest, AnXmlAloneHasPortsNetdevsAndVirtualFunctions) {
  const Machine two = DiscoverTestMachineByXml("two_sockets");
  ASSERT_THAT(Names(two.nics), ElementsAre("mlx5_0", "mlx5_1"));
  EXPECT_EQ(two.nics[0].ports.at(0).state, PortState::kActive);
  EXPECT_EQ(two.nics[0].ports[0].netdev, "enp59s0np0");
  EXPECT_FALSE(two.nics[0].ports[0].gids.has_value());
  EXPECT_EQ(WhyUnusable(two.nics[1]), "port 1 is DOWN");

  const Machine infiniband = DiscoverTestMachineByXml("eight_gpus");
  EXPECT_EQ(infiniband.nics.at(6).ports.at(0).lid, 7);
  EXPECT_EQ(infiniband.nics[6].ports[0].link_layer, LinkLayer::kInfiniBand);

  const Machine arm = DiscoverTestMachineByXml("arm");
  ASSERT_EQ(arm.nics.at(0).ports.size(), 2U);
  EXPECT_EQ(arm.nics[0].ports[1].netdev, "enp1s0d1");

  const Machine functions = DiscoverTestMachineByXml("virtual_functions");
  EXPECT_TRUE(functions.nics.at(2).virtual_function);
  EXPECT_TRUE(DiscoverTestMachineByXml("bond").nics.at(0).bond);
}

TEST(DiscoveryTest, ANodeThatIsNotAllowedIsMarked) {
  const std::string xml = absl::StrReplaceAll(
      ReadTestMachine("two_sockets.xml"),
      {{R"(allowed_nodeset="0x00000003")", R"(allowed_nodeset="0x00000002")"}});
  TE_ASSERT_OK_AND_ASSIGN(const Machine machine, DiscoverMachine(xml, ""));
  EXPECT_FALSE(machine.nodes.at(0).allowed);
  EXPECT_TRUE(machine.nodes.at(1).allowed);
  EXPECT_EQ(machine.nics.at(0).place.numa_node(), 0);
}

TEST(DiscoveryTest, AVanishedDeviceIsLeftOutWithAWarning) {
  SysfsCopy sysfs(ReadTestMachine("two_sockets.sysfs"));
  sysfs.Remove("class/infiniband/mlx5_1");
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(ReadTestMachine("two_sockets.xml"), sysfs.root()));
  EXPECT_THAT(Names(machine.nics), ElementsAre("mlx5_0"));
  EXPECT_THAT(machine.warnings,
              ElementsAre(HasSubstr("mlx5_1 is in the topology of hwloc")));
}

TEST(DiscoveryTest, SoftRoceIsWhereItsNetdevIs) {
  SysfsCopy sysfs(ReadTestMachine("two_sockets.sysfs"));
  sysfs.Add(
      "[devices/virtual/infiniband/rxe0]\n"
      "parent = enp216s0np0\n"
      "ports/1/state = 4: ACTIVE\n"
      "ports/1/link_layer = Ethernet\n"
      "ports/1/rate = 2.5 Gb/sec (1X SDR)\n"
      "ports/1/lid = 0x0\n"
      "ports/1/gids/0 = fe80::1\n"
      "[class/infiniband]\n"
      "rxe0 -> ../../devices/virtual/infiniband/rxe0\n");
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(ReadTestMachine("two_sockets.xml"), sysfs.root()));
  ASSERT_THAT(Names(machine.nics), ElementsAre("mlx5_0", "mlx5_1", "rxe0"));
  const Nic& soft = machine.nics[2];
  EXPECT_FALSE(soft.place.pci.has_value());
  EXPECT_EQ(soft.place.numa_node(), 1);
  EXPECT_EQ(soft.ports.at(0).netdev, "enp216s0np0");
  EXPECT_EQ(soft.ports[0].rate_gbps, 2.5);
}

TEST(DiscoveryTest, IsAFunctionOfWhatItReads) {
  const SysfsCopy copy(ReadTestMachine("bond.sysfs"));
  EXPECT_THAT(DiscoverMachine(ReadTestMachine("bond.xml"), copy.root()),
              IsOkAndHolds(DiscoverTestMachine("bond")));
  EXPECT_THAT(Names(DiscoverTestMachine("sixteen_nics").nics),
              Contains("mlx5_15"));
  EXPECT_THAT(DiscoverTestMachine("four_nodes_per_socket").nodes,
              Not(IsEmpty()));
}

TEST(DiscoveryTest, ADeviceThatAnXmlHasTwiceIsTakenOnce) {
  const std::string xml =
      absl::StrReplaceAll(ReadTestMachine("two_sockets.xml"),
                          {{R"(name="mlx5_1")", R"(name="mlx5_0")"}});
  TE_ASSERT_OK_AND_ASSIGN(const Machine machine, DiscoverMachine(xml, ""));
  EXPECT_THAT(Names(machine.nics), ElementsAre("mlx5_0"));
  EXPECT_EQ(machine.nics[0].place.numa_node(), 0);
  EXPECT_THAT(machine.warnings,
              ElementsAre(HasSubstr("mlx5_0 more than once")));
}

TEST(DiscoveryTest, AMissingSysfsIsAnError) {
  EXPECT_THAT(DiscoverMachine(ReadTestMachine("one_socket.xml"), "/nonexistent")
                  .status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent")));
}

TEST(DiscoveryTest, ACopyOfSysfsWithoutItsLinksIsPlacedByTheXml) {
  const SysfsCopy sysfs(
      "[class/infiniband/mlx5_1/ports/1]\n"
      "state = 4: ACTIVE\nlink_layer = Ethernet\nrate = 25 Gb/sec (1X EDR)\n"
      "lid = 0x0\ngids/0 = fe80::1\n"
      "[class/net/enp216s0np0]\nuevent = \noperstate = up\n");
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(ReadTestMachine("two_sockets.xml"), sysfs.root()));
  EXPECT_EQ(machine.nics.at(0).place.pci->ToString(), "0000:d8:00.0");
  EXPECT_EQ(machine.nics[0].place.numa_node(), 1);
  EXPECT_EQ(machine.nics[0].ports.at(0).netdev, "enp216s0np0");
}

TEST(DiscoveryTest, ANodeThatDoesNotExistIsNoPlace) {
  SysfsCopy sysfs(ReadTestMachine("two_sockets.sysfs"));
  sysfs.Add("[devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0]\nnuma_node = 7\n");
  TE_ASSERT_OK_AND_ASSIGN(
      const Machine machine,
      DiscoverMachine(ReadTestMachine("two_sockets.xml"), sysfs.root()));
  EXPECT_THAT(machine.nics.at(0).place.nodes, IsEmpty());
  EXPECT_THAT(machine.warnings,
              Contains(HasSubstr("mlx5_0 is said to be next to NUMA nodes")));
}

TEST(DiscoveryTest, WhatIsNoTopologyIsAnError) {
  EXPECT_THAT(
      DiscoverMachine("two sockets", "").status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("lstopo")));
}

}  // namespace
}  // namespace te
