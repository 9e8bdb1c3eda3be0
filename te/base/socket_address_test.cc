#include "te/base/socket_address.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SocketAddressTest, LiteralsRoundTrip) {
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress v4,
                          SocketAddress::FromIp("10.1.2.3", 80));
  EXPECT_EQ(v4.family(), AF_INET);
  EXPECT_EQ(v4.length(), sizeof(sockaddr_in));
  EXPECT_EQ(v4.port(), 80);
  EXPECT_EQ(v4.ToString(), "10.1.2.3:80");

  TE_ASSERT_OK_AND_ASSIGN(SocketAddress v6,
                          SocketAddress::FromIp("2001:db8::1", 65535));
  EXPECT_EQ(v6.family(), AF_INET6);
  EXPECT_EQ(v6.length(), sizeof(sockaddr_in6));
  EXPECT_EQ(v6.ToString(), "[2001:db8::1]:65535");
  EXPECT_NE(v4, v6);
}

TEST(SocketAddressTest, KeepsTheScope) {
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress scoped,
                          SocketAddress::FromIp("fe80::1%lo", 1));
  EXPECT_EQ(scoped.ToString(), "[fe80::1%lo]:1");
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress numbered,
                          SocketAddress::FromIp("fe80::1%4000000", 1));
  EXPECT_EQ(numbered.ip(), "fe80::1%4000000");
  EXPECT_NE(scoped, numbered);
  EXPECT_THAT(SocketAddress::FromIp("fe80::1%nonesuch", 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no interface 'nonesuch'")));
}

TEST(SocketAddressTest, WithPortChangesThePortAlone) {
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress address,
                          SocketAddress::FromIp("::1", 1));
  EXPECT_EQ(address.WithPort(2).ToString(), "[::1]:2");
  EXPECT_NE(address.WithPort(2), address);
  EXPECT_EQ(address.WithPort(1), address);
}

TEST(SocketAddressTest, KnowsSpecialAddresses) {
  auto parse = [](const char* ip) { return *SocketAddress::FromIp(ip, 0); };
  EXPECT_TRUE(parse("0.0.0.0").IsUnspecified());
  EXPECT_TRUE(parse("::").IsUnspecified());
  EXPECT_FALSE(parse("10.0.0.1").IsUnspecified());
  EXPECT_TRUE(parse("127.5.0.1").IsLoopback());
  EXPECT_TRUE(parse("::1").IsLoopback());
  EXPECT_FALSE(parse("10.0.0.1").IsLoopback());
  EXPECT_EQ(SocketAddress().ToString(), "0.0.0.0:0");
}

TEST(SocketAddressTest, RefusesWhatIsNoAddress) {
  for (const std::string& text :
       {std::string(""), std::string("localhost"), std::string("[::1]"),
        std::string("10.0.0"), std::string("::1\0", 4),
        std::string("10.0.0.1\0x", 10)}) {
    EXPECT_THAT(SocketAddress::FromIp(text, 0),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("neither an IPv4 nor an IPv6")))
        << text;
  }
}

TEST(SocketAddressTest, CopiesSockaddr) {
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress address,
                          SocketAddress::FromIp("::1", 7));
  EXPECT_THAT(SocketAddress::FromSockaddr(address.data(), address.length()),
              IsOkAndHolds(address));
  EXPECT_THAT(SocketAddress::FromSockaddr(address.data(), 4),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SocketAddress::FromSockaddr(address.data(), 0),
              StatusIs(absl::StatusCode::kInvalidArgument));
  sockaddr unix_address = {};
  unix_address.sa_family = AF_UNIX;
  EXPECT_THAT(SocketAddress::FromSockaddr(&unix_address, sizeof(unix_address)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SocketAddressTest, ResolvesLiteralsEvenPastTheDeadline) {
  TE_ASSERT_OK_AND_ASSIGN(SocketAddress expected,
                          SocketAddress::FromIp("127.0.0.1", 9));
  EXPECT_THAT(SocketAddress::Resolve("127.0.0.1", 9, MonotonicTime()),
              IsOkAndHolds(ElementsAre(expected)));
}

TEST(SocketAddressTest, ResolvesNames) {
  MonotonicTime deadline = RealClock().Now() + std::chrono::minutes(1);
  TE_ASSERT_OK_AND_ASSIGN(std::vector<SocketAddress> addresses,
                          SocketAddress::Resolve("localhost", 9, deadline));
  ASSERT_FALSE(addresses.empty());
  for (const SocketAddress& address : addresses) {
    EXPECT_TRUE(address.IsLoopback()) << address.ToString();
    EXPECT_EQ(address.port(), 9);
  }
}

TEST(SocketAddressTest, ResolveNamesTheHostThatFailed) {
  MonotonicTime deadline = RealClock().Now() + std::chrono::minutes(1);
  // RFC 6761 keeps this name from ever existing. Without network the resolver
  // reports that it could not ask.
  EXPECT_THAT(SocketAddress::Resolve("nonesuch.invalid", 9, deadline),
              StatusIs(AnyOf(absl::StatusCode::kNotFound,
                             absl::StatusCode::kUnavailable),
                       HasSubstr("nonesuch.invalid")));
  EXPECT_THAT(SocketAddress::Resolve("a b", 9, deadline),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      SocketAddress::Resolve("fe80::1%nonesuch", 9, deadline),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no interface")));
}

TEST(SocketAddressTest, ResolveGivesUpAtTheDeadline) {
  EXPECT_THAT(SocketAddress::Resolve("nonesuch.invalid", 9, MonotonicTime()),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("nonesuch.invalid")));
}

}  // namespace
}  // namespace te
