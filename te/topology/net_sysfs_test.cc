#include "te/topology/net_sysfs.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/topology/net_device.h"
#include "te/topology/sysfs.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(NetSysfsTest, GarbageMeansUnknown) {
  const SysfsCopy copy(
      "[class/net/eth0]\n"
      "uevent = \x01\n"
      "operstate = \n"
      "speed = fast\n"
      "mtu = -1\n"
      "type = x\n"
      "dev_port = 2147483647\n"
      "master -> ev il\n"
      "lower_ a -> x\n");
  const NetDevices found = ReadNetDevices(Sysfs(copy.root()));
  ASSERT_THAT(found.devices, SizeIs(1));
  const NetDevice& device = found.devices[0];
  EXPECT_EQ(device.operstate, "unknown");
  EXPECT_EQ(device.speed_mbps, 0);
  EXPECT_EQ(device.mtu, 0);
  EXPECT_EQ(device.port, 255);
  EXPECT_EQ(device.master, "");
  EXPECT_THAT(device.lowers, IsEmpty());
}

TEST(NetSysfsTest, TellsRepresentorsFromPorts) {
  const SysfsCopy copy(
      "[class/net/eth0]\nuevent = \nphys_port_name = p0\ndevice/\n"
      "[class/net/eth1]\nuevent = \nphys_port_name = pf0vf3\ndevice/\n");
  const NetDevices found = ReadNetDevices(Sysfs(copy.root()));
  ASSERT_THAT(found.devices, SizeIs(2));
  EXPECT_EQ(found.devices[0].kind, NetDeviceKind::kPhysical);
  EXPECT_EQ(found.devices[1].kind, NetDeviceKind::kRepresentor);
}

TEST(NetSysfsTest, LeavesOutWhatHasNoName) {
  const SysfsCopy copy(
      "[class/net/bonding_masters]\n"
      "[class/net/a b]\nuevent = \n");
  const NetDevices found = ReadNetDevices(Sysfs(copy.root()));
  EXPECT_THAT(found.devices, IsEmpty());
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("'a b' is no name of a network")));
}

}  // namespace
}  // namespace te
