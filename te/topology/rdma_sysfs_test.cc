#include "te/topology/rdma_sysfs.h"

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/topology/nic.h"
#include "te/topology/sysfs.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kPort[] = "class/infiniband/mlx5_0/ports/1";

// One device that is in order.
constexpr char kDevice[] =
    "[class/infiniband/mlx5_0/ports/1]\n"
    "state = 4: ACTIVE\n"
    "link_layer = Ethernet\n"
    "rate = 100 Gb/sec (4X EDR)\n"
    "lid = 0x0\n"
    "gids/0 = fe80:0000:0000:0000:0200:5eff:fe00:5301\n"
    "gid_attrs/types/0 = RoCE v2\n"
    "gid_attrs/ndevs/0 = eth0\n";

TEST(RdmaSysfsTest, NoDevicesAreNoReasonForAWarning) {
  const SysfsCopy copy("[class/net]\n");
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  EXPECT_THAT(devices.nics, IsEmpty());
  EXPECT_THAT(devices.warnings, IsEmpty());
}

struct Garbage {
  const char* file;
  const char* content;
  const char* complaint;
};

TEST(RdmaSysfsTest, GarbageIsLeftOutAndNamed) {
  const Garbage cases[] = {
      {"state", "banana", "ports/1/state: 'banana' is no state of a port"},
      {"state", "9: ACTIVE", "is no state of a port"},
      {"link_layer", "Token Ring", "'Token Ring' is no link layer"},
      {"rate", "fast", "ports/1/rate: 'fast' is no rate"},
      {"rate", "-1 Gb/sec", "is no rate"},
      {"rate", "nan Gb/sec", "is no rate"},
      {"lid", "0x10000", "'0x10000' is no LID"},
      {"gids/0", "10.0.0.1", "gids/0: '10.0.0.1' is no GID"},
      {"gids/x", "::1", "ports/1/gids: 'x' is no index of a GID"},
      {"gids/00", "::1", "ports/1/gids: '00' is no index of a GID"},
      {"../01/state", "4: ACTIVE", "ports: '01' is no number of a port"},
      {"../../device/numa_node", "near", "'near' is no NUMA node"},
      {"state", "\x01\x02", "ports/1/state is no text"},
  };
  for (const Garbage& garbage : cases) {
    SCOPED_TRACE(garbage.complaint);
    SysfsCopy copy(kDevice);
    copy.Add(absl::StrCat("[", kPort, "]\n", garbage.file, " = ",
                          garbage.content, "\n"));
    const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
    EXPECT_THAT(devices.warnings, ElementsAre(HasSubstr(garbage.complaint)));
    EXPECT_THAT(devices.nics, SizeIs(1));
  }
}

TEST(RdmaSysfsTest, KnowsWhatTheDeviceSpeaks) {
  const std::pair<const char*, NicKind> cases[] = {
      {"1: CA", NicKind::kChannelAdapter},
      {"4: RNIC", NicKind::kIwarp},
      {"7: unspecified", NicKind::kOther}};
  for (const auto& [type, kind] : cases) {
    SysfsCopy copy(kDevice);
    copy.Add(absl::StrCat("[class/infiniband/mlx5_0]\nnode_type = ", type,
                          "\n[", kPort, "]\nlink_layer = Unknown\n"));
    const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
    EXPECT_THAT(devices.warnings, IsEmpty());
    EXPECT_EQ(devices.nics.at(0).kind, kind) << type;
  }
}

TEST(RdmaSysfsTest, AttributesThatAreMissingAreNamed) {
  SysfsCopy copy(kDevice);
  copy.Remove(absl::StrCat(kPort, "/rate"));
  copy.Remove(absl::StrCat(kPort, "/gids"));
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  EXPECT_THAT(devices.warnings,
              ElementsAre(HasSubstr("ports/1/rate: No such file"),
                          HasSubstr("ports/1/gids: No such file")));
  ASSERT_THAT(devices.nics, SizeIs(1));
  EXPECT_FALSE(devices.nics[0].ports.at(0).gids.has_value());
}

TEST(RdmaSysfsTest, AFifoDoesNotStopTheReader) {
  SysfsCopy copy(kDevice);
  copy.Remove(absl::StrCat(kPort, "/state"));
  const std::string fifo = absl::StrCat(copy.root(), "/", kPort, "/state");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(ReadRdmaDevices(Sysfs(copy.root())).warnings,
              ElementsAre(HasSubstr("is no file")));
}

TEST(RdmaSysfsTest, ADeviceWhosePortsHaveVanishedIsLeftOut) {
  const SysfsCopy copy(
      "[class/infiniband/mlx5_0]\n"
      "node_type = 1: CA\n"
      "[class/infiniband]\n"
      "abi_version = 1\n"
      "gone -> ../../devices/gone\n");
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  EXPECT_THAT(devices.nics, IsEmpty());
  EXPECT_THAT(devices.warnings, ElementsAre(HasSubstr("gone has no ports"),
                                            HasSubstr("mlx5_0 has no ports")));
}

TEST(RdmaSysfsTest, AnEntryOfTheGidTableMayLackItsAttributes) {
  SysfsCopy copy(kDevice);
  copy.Remove(absl::StrCat(kPort, "/gid_attrs"));
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  EXPECT_THAT(devices.warnings, IsEmpty()) << "it was taken away just now";
  const std::vector<GidEntry>& gids =
      devices.nics.at(0).ports.at(0).gids.value();
  ASSERT_THAT(gids, SizeIs(1));
  EXPECT_EQ(gids[0].type, GidType::kUnknown);
  EXPECT_EQ(gids[0].netdev, "");
}

}  // namespace
}  // namespace te
