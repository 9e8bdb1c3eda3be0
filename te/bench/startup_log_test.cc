#include "te/bench/startup_log.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"

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

TEST(StartupLogTest, TellsOfNodes) {
  const NumaNode nodes[] = {
      {.index = 0, .cpus = {0, 1, 2, 8}, .memory_bytes = uint64_t{1} << 30},
      {.index = 2, .memory_bytes = 1 << 20}};
  EXPECT_THAT(DescribeNodes(nodes),
              ElementsAre("NUMA node 0: CPUs 0-2,8, 1 GiB",
                          "NUMA node 2: CPUs none, 1 MiB"));
}

TEST(StartupLogTest, ThisMachineHasANode) { EXPECT_FALSE(FindNodes().empty()); }

}  // namespace
}  // namespace te::bench
