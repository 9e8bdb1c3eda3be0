#include "te/topology/network_interfaces.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::Not;

TEST(NetworkInterfacesTest, ListsThisMachine) {
  TE_ASSERT_OK_AND_ASSIGN(const std::vector<NetworkInterface> interfaces,
                          ListInterfaces());
  // Every network namespace has one, if only switched off.
  EXPECT_THAT(interfaces, Contains(Field(&NetworkInterface::loopback, true)));
  std::set<std::string> names;
  for (const NetworkInterface& interface : interfaces) {
    EXPECT_TRUE(names.insert(interface.name).second)
        << interface.name << " is listed twice";
    for (const SocketAddress& address : interface.addresses) {
      EXPECT_EQ(address.port(), 0);
      EXPECT_FALSE(address.IsUnspecified()) << interface.name;
    }
  }
  EXPECT_THAT(names, Not(Contains("")));
}

}  // namespace
}  // namespace te
