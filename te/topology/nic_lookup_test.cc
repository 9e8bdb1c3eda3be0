#include "te/topology/nic_lookup.h"

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  const char* machine;
  const char* name;
  const char* nic;
};

TEST(NicLookupTest, TakesNamesOfDevicesAndOfTheirNetdevs) {
  const Case cases[] = {
      {"two_sockets", "mlx5_1", "mlx5_1"},
      {"two_sockets", "enp59s0np0", "mlx5_0"},
      {"two_sockets", "enp216s0np0", "mlx5_1"},  // down
      {"bond", "bond0", "mlx5_bond_0"},
      {"bond", "eth2", "mlx5_bond_0"},
      {"bond", "eth3", "mlx5_bond_0"},
      {"bond", "bond0.100", "mlx5_bond_0"},
      {"arm", "enp1s0d1", "mlx4_0"},
      {"virtual_functions", "ens1f0v0", "mlx5_1"},
      {"eight_gpus", "ib6", "mlx5_6"},
  };
  for (const Case& c : cases) {
    const Machine& machine = DiscoverTestMachine(c.machine);
    TE_ASSERT_OK_AND_ASSIGN(const Nic* nic, FindNic(machine, c.name));
    EXPECT_EQ(nic->name, c.nic) << c.name;
  }
}

TEST(NicLookupTest, AnUnknownNameFailsWithWhatThereIsAndTheNearest) {
  const Machine& machine = DiscoverTestMachine("two_sockets");
  EXPECT_THAT(
      FindNic(machine, "mlx_1").status(),
      StatusIs(
          absl::StatusCode::kNotFound,
          AllOf(HasSubstr("'mlx_1' is neither"), HasSubstr("is mlx5_1 meant?"),
                HasSubstr("mlx5_0 (port 1 ACTIVE on netdev enp59s0np0), "
                          "mlx5_1 (port 1 DOWN on netdev enp216s0np0)"))));
  EXPECT_THAT(
      FindNic(machine, "enp59s0").status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("is enp59s0np0 meant?")));
  EXPECT_THAT(FindNic(machine, "").status(),
              StatusIs(absl::StatusCode::kNotFound, Not(HasSubstr("meant"))));
  EXPECT_THAT(
      FindNic(machine, "\n\x01").status(),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("'\\n\\x01' is")));
  EXPECT_THAT(FindNic(machine, "lo").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("'lo' is a netdev that has no RDMA device")));
}

// Two cards bonded, each with an RDMA device of its own.
TEST(NicLookupTest, AMemberOfABondMeansItsOwnDevice) {
  Machine machine = DiscoverTestMachine("two_sockets");
  for (NetDevice& device : machine.net_devices) device.master = "bond0";
  machine.net_devices.push_back({.name = "bond0",
                                 .kind = NetDeviceKind::kBond,
                                 .lowers = {"enp59s0np0", "enp216s0np0"}});
  for (Nic& nic : machine.nics) nic.ports[0].netdev = "bond0";
  TE_ASSERT_OK_AND_ASSIGN(const Nic* nic, FindNic(machine, "enp216s0np0"));
  EXPECT_EQ(nic->name, "mlx5_1");
  EXPECT_THAT(FindNic(machine, "bond0").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("several RDMA devices, mlx5_0, mlx5_1")));
}

TEST(NicLookupTest, AVlanWithoutGidsMeansTheDeviceBelow) {
  Machine machine = DiscoverTestMachine("two_sockets");
  machine.net_devices.push_back({.name = "enp59s0np0.7",
                                 .kind = NetDeviceKind::kVlan,
                                 .lowers = {"enp59s0np0"}});
  TE_ASSERT_OK_AND_ASSIGN(const Nic* nic, FindNic(machine, "enp59s0np0.7"));
  EXPECT_EQ(nic->name, "mlx5_0");
}

TEST(NicLookupTest, SaysThatThereAreNone) {
  EXPECT_THAT(FindNic(DiscoverTestMachine("one_socket"), "mlx5_0").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("the machine has no RDMA device")));
}

}  // namespace
}  // namespace te
