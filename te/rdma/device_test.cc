#include "te/rdma/device.h"

#include <infiniband/verbs.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/topology/gid.h"
#include "te/topology/nic.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDevice;
using emulated::EmulatedDeviceSpec;
using emulated::EmulatedFabric;
using emulated::GidOfIpv4;
using emulated::InfiniBandDevice;
using emulated::LiveObjects;
using emulated::RoceDevice;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A device of three ports, of which those that are `up` are active.
EmulatedDeviceSpec ThreePorts(std::vector<bool> up) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_0", {10, 0, 0, 1});
  for (uint8_t subnet = 1; subnet < 3; ++subnet) {
    spec.ports.push_back(RoceDevice("", {10, 0, subnet, 1}).ports[0]);
  }
  for (size_t i = 0; i < 3; ++i) spec.ports[i].active = up[i];
  return spec;
}

class DeviceTest : public testing::Test {
 protected:
  EmulatedDevice& Add(EmulatedDeviceSpec spec) {
    return fabric_.AddDevice("a", std::move(spec));
  }
  absl::StatusOr<std::unique_ptr<Device>> Open(
      const std::string& name, std::optional<uint8_t> port = std::nullopt) {
    return Device::Open(fabric_.VerbsOf("a"), name, port);
  }
  EmulatedFabric fabric_;
};

TEST_F(DeviceTest, AWrongNameIsToldWhichThereAre) {
  EXPECT_THAT(Open("mlx5_0"), StatusIs(absl::StatusCode::kNotFound,
                                       AllOf(HasSubstr("no device mlx5_0"),
                                             HasSubstr("there are: none"))));
  Add(RoceDevice("mlx5_0", {10, 0, 0, 1}));
  EmulatedDevice& second = Add(RoceDevice("mlx5_1", {10, 0, 0, 2}));
  EXPECT_THAT(Open("mlx5_"), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("mlx5_0, mlx5_1")));
  EXPECT_THAT(ListDevices(*fabric_.VerbsOf("a")),
              IsOkAndHolds(ElementsAre("mlx5_0", "mlx5_1")));
  TE_ASSERT_OK_AND_ASSIGN(auto device, Open("mlx5_1"));
  EXPECT_EQ(device->name(), "mlx5_1");
  EXPECT_EQ(second.live_objects().contexts, 1);
  EXPECT_EQ(second.live_objects().pds, 1);
  device.reset();
  EXPECT_EQ(second.live_objects(), LiveObjects());
}

TEST_F(DeviceTest, SaysWhyADeviceCannotBeOpened) {
  Add(RoceDevice("mlx5_0", {10, 0, 0, 1}));
  for (const int error : {EACCES, EPERM}) {
    fabric_.FailControlVerb("a", 2, error);
    EXPECT_THAT(
        Open("mlx5_0"),
        StatusIs(absl::StatusCode::kPermissionDenied,
                 AllOf(HasSubstr("mlx5_0"), HasSubstr("check the permissions "
                                                      "of /dev/infiniband/"
                                                      "uverbs*"))));
  }
  fabric_.FailControlVerb("a", 2, ENOENT);
  EXPECT_THAT(Open("mlx5_0"), StatusIs(absl::StatusCode::kNotFound,
                                       HasSubstr("it has no file there")));
}

TEST_F(DeviceTest, TakesTheFirstActivePort) {
  Add(ThreePorts({false, true, true}));
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0"));
  EXPECT_EQ(device->port_number(), 2);
  EXPECT_EQ(device->port().nic.number, 2);
  TE_EXPECT_OK(device->health());
}

TEST_F(DeviceTest, TakesTheFirstPortIfNoneIsActive) {
  Add(ThreePorts({false, false, false}));
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0"));
  EXPECT_EQ(device->port_number(), 1);
  EXPECT_THAT(device->health(), StatusIs(absl::StatusCode::kUnavailable,
                                         HasSubstr("mlx5_0 port 1 is DOWN")));
}

TEST_F(DeviceTest, TakesThePortThatIsAskedFor) {
  Add(ThreePorts({true, true, false}));
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0", uint8_t{3}));
  EXPECT_EQ(device->port_number(), 3);
  EXPECT_FALSE(device->usable());
  for (const uint8_t wrong : {4, 255}) {
    EXPECT_THAT(Open("mlx5_0", wrong),
                StatusIs(absl::StatusCode::kNotFound,
                         AllOf(HasSubstr("no port " + std::to_string(wrong)),
                               HasSubstr("it has 3"))));
  }
}

TEST_F(DeviceTest, SaysWhatThePortIs) {
  EmulatedDeviceSpec spec = ThreePorts({true, true, true});
  spec.max_msg_sz = 1 << 20;
  spec.ports[1].active_mtu = IBV_MTU_1024;
  // Beyond what an address handle can name.
  spec.ports[1].gids.push_back({.index = 256, .gid = GidOfIpv4({1, 2, 3, 4})});
  Add(spec);
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0", uint8_t{2}));
  const Port port = device->port();
  EXPECT_EQ(port.mtu, 1024);
  EXPECT_EQ(port.max_message_bytes, 1 << 20);
  EXPECT_EQ(port.nic.state, PortState::kActive);
  EXPECT_EQ(port.nic.link_layer, LinkLayer::kEthernet);
  EXPECT_EQ(port.nic.rate_gbps, 200);
  ASSERT_TRUE(port.nic.gids.has_value());
  std::vector<int> indexes;
  for (const GidEntry& entry : *port.nic.gids) indexes.push_back(entry.index);
  EXPECT_THAT(indexes, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(port.nic.gids->back().gid.ToString(), "::ffff:10.0.1.1");
  EXPECT_EQ(port.nic.gids->back().type, GidType::kRoceV2);
  EXPECT_THAT(device->Describe(),
              AllOf(HasSubstr("mlx5_0 port 2 (ACTIVE, Ethernet"),
                    HasSubstr("MTU 1024")));
}

TEST_F(DeviceTest, AnInfiniBandPortHasALid) {
  Add(InfiniBandDevice("mlx5_0", 0x2a));
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0"));
  EXPECT_EQ(device->port().nic.lid, 0x2a);
  EXPECT_EQ(device->port().nic.link_layer, LinkLayer::kInfiniBand);
  ASSERT_EQ(device->port().nic.gids->size(), 1);
  EXPECT_EQ(device->port().nic.gids->front().type, GidType::kInfiniBand);
}

TEST_F(DeviceTest, RefreshSeesWhatHasChanged) {
  EmulatedDevice& emulated = Add(RoceDevice("mlx5_0", {10, 0, 0, 1}));
  TE_ASSERT_OK_AND_ASSIGN(const auto device, Open("mlx5_0"));
  emulated.SetPortActive(1, false);
  EXPECT_TRUE(device->usable()) << "nobody has looked yet";
  TE_ASSERT_OK(device->Refresh());
  EXPECT_FALSE(device->usable());
  emulated.SetPortActive(1, true);
  emulated.RemoveGid(1, 3);
  TE_ASSERT_OK(device->Refresh());
  EXPECT_TRUE(device->usable());
  EXPECT_EQ(device->port().nic.gids->size(), 3);
  device->MarkFatal();
  TE_ASSERT_OK(device->Refresh());
  EXPECT_FALSE(device->usable()) << "it stays so";
  EXPECT_THAT(device->health(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("fatal")));
}

TEST_F(DeviceTest, WhateverVerbFailsNothingIsLeft) {
  EmulatedDevice& emulated = Add(RoceDevice("mlx5_0", {10, 0, 0, 1}));
  int failed = 0;
  for (int i = 1;; ++i) {
    fabric_.FailControlVerb("a", i, EIO);
    const uint64_t before = fabric_.control_verbs("a");
    const auto device = Open("mlx5_0");
    if (fabric_.control_verbs("a") - before < static_cast<uint64_t>(i)) {
      TE_EXPECT_OK(device);
      break;
    }
    if (device.ok()) continue;  // there is a way round it
    ++failed;
    EXPECT_FALSE(device.status().message().empty());
    EXPECT_EQ(emulated.live_objects(), LiveObjects());
  }
  EXPECT_GE(failed, 5);
}

}  // namespace
}  // namespace te::rdma
