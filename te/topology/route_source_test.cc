#include "te/topology/route_source.h"

#include <stdint.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/topology/network_interfaces.h"

namespace te {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

SocketAddress At(const std::string& ip, uint16_t port = 0) {
  return *SocketAddress::FromIp(ip, port);
}

TEST(RouteSourceTest, LoopbackIsReachedFromLoopback) {
  for (const uint16_t port : {0, 6379}) {
    EXPECT_THAT(RouteSource(At("127.0.0.1", port)),
                IsOkAndHolds(At("127.0.0.1")));
    EXPECT_THAT(RouteSource(At("::1", port)), IsOkAndHolds(At("::1")));
  }
}

// Which one is the kernel's business: a secondary address is reached from the
// primary one.
TEST(RouteSourceTest, AnAddressOfThisHostIsReachedFromOneOfThisHost) {
  TE_ASSERT_OK_AND_ASSIGN(const std::vector<NetworkInterface> interfaces,
                          ListInterfaces());
  std::vector<SocketAddress> own;
  for (const NetworkInterface& interface : interfaces) {
    own.insert(own.end(), interface.addresses.begin(),
               interface.addresses.end());
  }
  for (const NetworkInterface& interface : interfaces) {
    if (!interface.up) continue;
    for (const SocketAddress& address : interface.addresses) {
      TE_ASSERT_OK_AND_ASSIGN(const SocketAddress source, RouteSource(address));
      EXPECT_THAT(own, testing::Contains(source)) << address.ip();
    }
  }
}

// No program may send to it unless it says so (SO_BROADCAST, socket(7)), and
// without a network there is no route either.
TEST(RouteSourceTest, SaysWhereItFailed) {
  EXPECT_THAT(RouteSource(At("255.255.255.255")),
              StatusIs(Not(absl::StatusCode::kOk),
                       HasSubstr("the route to 255.255.255.255")));
}

}  // namespace
}  // namespace te
