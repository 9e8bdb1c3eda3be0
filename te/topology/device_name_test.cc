#include "te/topology/device_name.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace te {
namespace {

using ::testing::ElementsAre;

TEST(DeviceNameTest, TakesWhatTheKernelWould) {
  for (const char* name : {"mlx5_0", "enp61s0f1np1", "mlx5_bond_0", "eth0.100",
                           "br-51f2a4", "eth0:1"}) {
    EXPECT_TRUE(IsDeviceName(name)) << name;
  }
  EXPECT_TRUE(IsDeviceName(std::string(64, 'x')));
  EXPECT_FALSE(IsDeviceName(std::string(65, 'x')));
  for (const char* name :
       {"", "a b", "a/b", "a\nb", "a\"", "a'b", "\x7f", "\xc3\xa9", "a,b"}) {
    EXPECT_FALSE(IsDeviceName(name)) << name;
  }
}

TEST(DeviceNameTest, NumbersCountByValue) {
  std::vector<std::string> names = {"mlx5_10", "mlx5_2",  "mlx5_bond_0", "a",
                                    "mlx4_3",  "mlx5_02", "mlx5_2x",     ""};
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return DeviceNameLess(a, b); });
  EXPECT_THAT(names, ElementsAre("", "a", "mlx4_3", "mlx5_02", "mlx5_2",
                                 "mlx5_2x", "mlx5_10", "mlx5_bond_0"));
}

TEST(DeviceNameTest, IsAnOrder) {
  for (const char* name : {"", "0", "00", "eth0", "99999999999999999999999"}) {
    EXPECT_FALSE(DeviceNameLess(name, name)) << name;
  }
  EXPECT_TRUE(DeviceNameLess("00", "1"));
  EXPECT_NE(DeviceNameLess("00", "0"), DeviceNameLess("0", "00"));
}

}  // namespace
}  // namespace te
