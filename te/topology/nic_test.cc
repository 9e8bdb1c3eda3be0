#include "te/topology/nic.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace te {
namespace {

using ::testing::HasSubstr;

std::vector<GidEntry> OneGid() { return {{.index = 0, .gid = Gid({0xfe})}}; }

TEST(NicTest, WhatIsNotKnownIsFine) {
  EXPECT_EQ(WhyUnusable(Nic{.name = "mlx5_0", .ports = {NicPort{}}}), "");
}

TEST(NicTest, SaysWhyItCannotBeUsed) {
  Nic nic{.name = "mlx5_0",
          .ports = {{.number = 1, .state = PortState::kDown},
                    {.number = 2, .state = PortState::kInit}}};
  EXPECT_EQ(WhyUnusable(nic), "port 1 is DOWN, port 2 is INIT");
  EXPECT_EQ(MainPort(nic)->number, 1);

  nic.ports[1] = {.number = 2,
                  .state = PortState::kActive,
                  .netdev = "eth2",
                  .gids = std::vector<GidEntry>()};
  EXPECT_THAT(WhyUnusable(nic), HasSubstr("port 2 has no GID; has eth2 an"));

  nic.ports[1].gids = OneGid();
  EXPECT_EQ(WhyUnusable(nic), "");
  EXPECT_EQ(MainPort(nic)->number, 2);
}

TEST(NicTest, InfiniBandIsAddressedByLidToo) {
  const Nic nic{.name = "mlx5_0",
                .ports = {{.state = PortState::kActive,
                           .link_layer = LinkLayer::kInfiniBand,
                           .lid = 7,
                           .gids = std::vector<GidEntry>()}}};
  EXPECT_EQ(WhyUnusable(nic), "");
}

TEST(NicTest, ALidOnEthernetIsNoAddress) {
  const Nic nic{.name = "irdma0",
                .ports = {{.state = PortState::kActive,
                           .link_layer = LinkLayer::kEthernet,
                           .lid = 1,
                           .gids = std::vector<GidEntry>()}}};
  EXPECT_THAT(WhyUnusable(nic), HasSubstr("has no GID"));
}

TEST(NicTest, OnlyChannelAdaptersAreUsed) {
  const auto why = [](NicKind kind) {
    return WhyUnusable(Nic{.kind = kind, .ports = {NicPort{}}});
  };
  EXPECT_EQ(why(NicKind::kChannelAdapter), "");
  EXPECT_THAT(why(NicKind::kIwarp), HasSubstr("iWARP"));
  EXPECT_THAT(why(NicKind::kOther), HasSubstr("neither InfiniBand nor RoCE"));
}

TEST(NicTest, TheMainPortIsOneThatCanBeUsed) {
  const Nic nic{
      .ports = {{.number = 1,
                 .state = PortState::kActive,
                 .gids = std::vector<GidEntry>()},
                {.number = 2, .state = PortState::kActive, .gids = OneGid()}}};
  EXPECT_EQ(MainPort(nic)->number, 2);
}

TEST(NicTest, ADeviceWithoutPortsHasNoMainPort) {
  EXPECT_EQ(WhyUnusable(Nic{.name = "mlx5_0"}), "it has no ports");
  EXPECT_EQ(MainPort(Nic{.name = "mlx5_0"}), nullptr);
}

}  // namespace
}  // namespace te
