#include "te/topology/machine_links.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/topology/device_place.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/pci_address.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

DevicePlace At(const char* pci, const std::string& device = "") {
  DevicePlace place;
  place.pci = PciAddress::Parse(pci).value();
  place.device = device.empty() ? pci : device;
  return place;
}

Nic NicAt(const char* name, DevicePlace place, const std::string& netdev = "") {
  Nic nic = {.name = name, .place = std::move(place), .ports = {NicPort{}}};
  if (!netdev.empty()) {
    nic.ports[0].netdev = netdev;
    nic.ports[0].gids = {{.gid = Gid({0xfe}), .netdev = netdev}};
  }
  return nic;
}

TEST(MachineLinksTest, ASubFunctionHasItsOwnNetdev) {
  const DevicePlace parent = At("0000:0e:00.0");
  const DevicePlace sub = At("0000:0e:00.0", "mlx5_core.sf.4");
  Machine machine = {
      .nics = {NicAt("mlx5_0", parent), NicAt("mlx5_4", sub)},
      .net_devices = {
          {.name = "enp14s0f0np0", .place = parent},
          {.name = "enp14s0f0s4", .place = sub},
          {.name = "aaa", .kind = NetDeviceKind::kRepresentor, .place = parent},
      }};
  LinkNetDevices(machine);
  EXPECT_EQ(machine.nics[0].ports[0].netdev, "enp14s0f0np0");
  EXPECT_EQ(machine.nics[1].ports[0].netdev, "enp14s0f0s4");
}

TEST(MachineLinksTest, ANetdevOfAnotherNamespaceIsNotTakenForOurs) {
  Machine machine = {
      .nics = {NicAt("mlx5_0", At("0000:3b:00.0"), "eth0"),
               NicAt("mlx5_1", At("0000:d8:00.0"), "eth9")},
      .net_devices = {{.name = "eth0", .kind = NetDeviceKind::kVirtual}}};
  LinkNetDevices(machine);
  for (const Nic& nic : machine.nics) {
    EXPECT_EQ(nic.ports[0].netdev, "");
    EXPECT_EQ(nic.ports[0].gids->at(0).netdev, "");
  }
  EXPECT_THAT(machine.warnings,
              ElementsAre(HasSubstr("mlx5_0 has GIDs of the netdev eth0"),
                          HasSubstr("mlx5_1 has GIDs of the netdev eth9")));
}

TEST(MachineLinksTest, SeveralDevicesInABondAreNoBondThemselves) {
  Machine machine = {
      .nics = {NicAt("mlx5_0", At("0000:3b:00.0"), "bond0"),
               NicAt("mlx5_1", At("0000:d8:00.0"), "bond0")},
      .net_devices = {{.name = "bond0",
                       .kind = NetDeviceKind::kBond,
                       .lowers = {"eth0", "eth1"}},
                      {.name = "eth0", .place = At("0000:3b:00.0")},
                      {.name = "eth1", .place = At("0000:d8:00.0")}}};
  LinkNetDevices(machine);
  EXPECT_FALSE(machine.nics[0].bond);
  EXPECT_EQ(machine.nics[1].ports[0].netdev, "bond0");
  machine.nics.pop_back();
  LinkNetDevices(machine);
  EXPECT_TRUE(machine.nics[0].bond);
}

// Where a place that names those nodes is, in the end.
std::vector<int> Refined(const std::vector<NumaNode>& nodes,
                         const std::vector<int>& near) {
  Machine machine = {.nodes = nodes, .bridges = {{.nodes = near}}};
  RefineNodes(machine);
  return machine.bridges[0].nodes;
}

TEST(MachineLinksTest, MemoryBesideNodesIsNoPlaceOfItsOwn) {
  const std::vector<NumaNode> nodes = {{.index = 0, .cpus = {0, 1}},
                                       {.index = 1, .cpus = {2, 3}},
                                       {.index = 2, .cpus = {0, 1, 2, 3}},
                                       {.index = 3, .cpus = {0, 1}},
                                       {.index = 4}};
  EXPECT_THAT(Refined(nodes, {0, 2, 3, 4}), ElementsAre(0));
  EXPECT_THAT(Refined(nodes, {0, 1, 2}), ElementsAre(0, 1));
  EXPECT_THAT(Refined(nodes, {2, 4}), ElementsAre(2));
  EXPECT_THAT(Refined(nodes, {4}), ElementsAre(4));
  EXPECT_THAT(Refined(nodes, {7}), IsEmpty());
}

TEST(MachineLinksTest, OnAMachineOfOneNodeAllIsNextToIt) {
  EXPECT_THAT(Refined({{.index = 3, .cpus = {0}}}, {}), ElementsAre(3));
  EXPECT_THAT(Refined({{.index = 3, .cpus = {0}}}, {1}), IsEmpty())
      << "the other nodes are not shown";
}

TEST(MachineLinksTest, NextToVeryManyIsNextToNone) {
  std::vector<NumaNode> nodes;
  std::vector<int> all;
  for (int i = 0; i < 65; ++i) {
    nodes.push_back({.index = i, .cpus = {i}});
    all.push_back(i);
  }
  EXPECT_THAT(Refined(nodes, all), IsEmpty());
}

}  // namespace
}  // namespace te
