#include "te/listen_address.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/topology/network_interfaces.h"

namespace te {
namespace {

using ::testing::HasSubstr;

using Ips = std::vector<std::string>;

std::vector<SocketAddress> Addresses(const Ips& ips) {
  std::vector<SocketAddress> addresses;
  for (const std::string& ip : ips) {
    addresses.push_back(*SocketAddress::FromIp(ip, 0));
  }
  return addresses;
}

// A host with loopback and, unless it has no address, eth0. Every name resolves
// to `resolved`.
HostLookup Host(const Ips& eth0, const Ips& resolved) {
  std::vector<NetworkInterface> interfaces = {
      {.name = "lo",
       .addresses = Addresses({"127.0.0.1", "::1"}),
       .up = true,
       .loopback = true}};
  if (!eth0.empty()) {
    interfaces.push_back(
        {.name = "eth0", .addresses = Addresses(eth0), .up = true});
  }
  return {.interfaces = [interfaces] { return interfaces; },
          .resolve = [addresses = Addresses(resolved)](
                         absl::string_view, uint16_t,
                         MonotonicTime) { return addresses; }};
}

struct Case {
  std::string title;
  std::string name;
  Ips eth0;
  Ips resolved;
  std::string address;
  std::string advertised;
};

void ExpectChoices(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(
        const ListenAddress chosen,
        ChooseListenAddress(c.name, {}, kNoDeadline, Host(c.eth0, c.resolved)));
    EXPECT_EQ(chosen.address.ip(), c.address);
    EXPECT_EQ(chosen.address.port(), 0);
    EXPECT_EQ(chosen.advertised_host, c.advertised);
  }
}

TEST(ListenAddressTest, ChoosesByAddressOrInterface) {
  const Ips eth0 = {"10.0.0.5", "2001:db8::5"};
  const std::vector<Case> cases = {
      {"nothing given", "", eth0, {}, "10.0.0.5", "10.0.0.5"},
      {"nothing given, no network", "", {}, {}, "127.0.0.1", "127.0.0.1"},
      {"a literal", "10.9.9.9:80", eth0, {}, "10.9.9.9", "10.9.9.9"},
      {"a loopback literal", "127.0.0.1", eth0, {}, "127.0.0.1", "127.0.0.1"},
      {"an interface", "eth0", eth0, {}, "10.0.0.5", "10.0.0.5"},
      {"the loopback interface", "lo:80", eth0, {}, "127.0.0.1", "127.0.0.1"},
  };
  ExpectChoices(cases);
}

TEST(ListenAddressTest, ChoosesAmongTheAddressesOfAName) {
  const Ips eth0 = {"10.0.0.5", "2001:db8::5"};
  const std::vector<Case> cases = {
      {"a name", "db7", eth0, {"10.0.0.5"}, "10.0.0.5", "db7"},
      {"a name, preferring IPv6",
       "db7:80-90",
       eth0,
       {"2001:db8::5", "10.0.0.5"},
       "2001:db8::5",
       "db7"},
      {"a name with foreign addresses",
       "db7",
       eth0,
       {"10.0.0.6", "10.0.0.5"},
       "10.0.0.5",
       "db7"},
      {"a name with loopback first",
       "db7",
       eth0,
       {"127.0.1.1", "::1", "10.0.0.5"},
       "10.0.0.5",
       "db7"},
      {"Debian's /etc/hosts",
       "db7:80",
       eth0,
       {"127.0.1.1"},
       "10.0.0.5",
       "10.0.0.5"},
      {"IPv6 loopback", "db7", eth0, {"::1"}, "10.0.0.5", "10.0.0.5"},
      {"loopback and an address behind NAT",
       "db7",
       eth0,
       {"203.0.113.1", "127.0.1.1"},
       "10.0.0.5",
       "10.0.0.5"},
      {"loopback, no network", "db7", {}, {"127.0.1.1"}, "127.0.1.1", "db7"},
      {"localhost",
       "localhost",
       eth0,
       {"::1", "127.0.0.1"},
       "::1",
       "localhost"},
      {"localhost in a domain",
       "localhost.localdomain",
       eth0,
       {"127.0.0.1"},
       "127.0.0.1",
       "localhost.localdomain"},
      {"a domain in localhost",
       "a.Localhost:80",
       eth0,
       {"127.0.0.1"},
       "127.0.0.1",
       "a.Localhost"},
      {"a name like localhost",
       "localhost7",
       eth0,
       {"127.0.0.1"},
       "10.0.0.5",
       "10.0.0.5"},
  };
  ExpectChoices(cases);
}

TEST(ListenAddressTest, KeepsThePorts) {
  const HostLookup host = Host({"10.0.0.5"}, {"127.0.1.1"});
  TE_ASSERT_OK_AND_ASSIGN(
      const ListenAddress range,
      ChooseListenAddress("db7:80-90", {}, kNoDeadline, host));
  EXPECT_EQ(range.ports, (PortRange{.first = 80, .last = 90}));
  TE_ASSERT_OK_AND_ASSIGN(const ListenAddress any,
                          ChooseListenAddress("db7", {}, kNoDeadline, host));
  EXPECT_EQ(any.ports, PortRange{});
}

TEST(ListenAddressTest, RefusesWhatIsNoAddressOfThisHost) {
  const HostLookup host = Host({"10.0.0.5"}, {"203.0.113.1"});
  EXPECT_THAT(ChooseListenAddress("db7", {}, kNoDeadline, host),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("db7 resolves to 203.0.113.1")));
  for (const char* every : {"0.0.0.0", "[::]:80"}) {
    EXPECT_THAT(ChooseListenAddress(every, {}, kNoDeadline, host),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("every address")));
  }
  for (const char* many : {"255.255.255.255", "224.0.0.1:80", "[ff02::1]"}) {
    EXPECT_THAT(ChooseListenAddress(many, {}, kNoDeadline, host),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("broadcast or multicast")));
  }
}

TEST(ListenAddressTest, PassesOnWhyANameIsNotResolved) {
  HostLookup host = Host({"10.0.0.5"}, {});
  host.resolve = [](absl::string_view, uint16_t, MonotonicTime) {
    return absl::UnavailableError("no DNS");
  };
  EXPECT_THAT(ChooseListenAddress("db7", {}, kNoDeadline, host),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no DNS")));
}

// A host with two networks, and metadata servers at "db1", on the second, and
// at "db2" on the first. Nobody knows "nonesuch".
HostLookup HostOfTwoNetworks() {
  HostLookup host;
  host.interfaces = [] {
    return std::vector<NetworkInterface>{
        {.name = "eth0", .addresses = Addresses({"10.0.0.5"}), .up = true},
        {.name = "eth1",
         .addresses = Addresses({"10.1.0.5", "10.1.0.6"}),
         .up = true}};
  };
  host.resolve =
      [](absl::string_view name, uint16_t,
         MonotonicTime) -> absl::StatusOr<std::vector<SocketAddress>> {
    if (name == "db1") return Addresses({"2001:db8::1", "10.1.0.1"});
    if (name == "db2") return Addresses({"10.0.0.1"});
    if (name == "here") return Addresses({"127.0.1.1"});
    return absl::NotFoundError("no such name");
  };
  host.route_source =
      [](const SocketAddress& destination) -> absl::StatusOr<SocketAddress> {
    if (destination.ip() == "10.1.0.1") return Addresses({"10.1.0.6"})[0];
    if (destination.ip() == "10.0.0.1") return Addresses({"10.0.0.5"})[0];
    if (destination.IsLoopback()) return Addresses({"127.0.0.1"})[0];
    return absl::UnavailableError("no route");
  };
  return host;
}

TEST(ListenAddressTest, PrefersTheRouteToTheMetadataServer) {
  struct RouteCase {
    std::string title;
    std::string name;
    std::vector<HostPort> servers;
    std::string address;
    std::string reason;
  };
  const std::string db1 = "carries the route to the metadata server 10.1.0.1";
  const HostPort on_1 = {.host = "db1", .port = 6379};
  const HostPort on_0 = {.host = "db2", .port = 6379};
  const HostPort lost = {.host = "nonesuch", .port = 6379};
  const HostPort here = {.host = "here", .port = 6379};
  const std::vector<RouteCase> cases = {
      {"no server", "", {}, "10.0.0.5", "is IPv4"},
      {"one server", "", {on_1}, "10.1.0.6", db1},
      {"the first of two", "", {on_1, on_0}, "10.1.0.6", db1},
      {"the first that is known", "", {lost, on_1}, "10.1.0.6", db1},
      {"none that is known", "", {lost}, "10.0.0.5", "is IPv4"},
      {"on this host", "", {here}, "10.0.0.5", "is IPv4"},
      {"among those of an interface",
       "eth1",
       {on_1},
       "10.1.0.6",
       "is of eth1, which is named"},
      {"not against the user",
       "eth0",
       {on_1},
       "10.0.0.5",
       "is of eth0, which is named"},
      {"not against the user's address", "10.0.0.5", {on_1}, "10.0.0.5", ""},
      {"instead of a name that means loopback",
       "here",
       {on_1},
       "10.1.0.6",
       db1},
  };
  for (const RouteCase& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(const ListenAddress chosen,
                            ChooseListenAddress(c.name, c.servers, kNoDeadline,
                                                HostOfTwoNetworks()));
    EXPECT_EQ(chosen.address.ip(), c.address);
    EXPECT_EQ(chosen.advertised_host, c.address);
    EXPECT_EQ(chosen.reason, c.reason);
  }
}

}  // namespace
}  // namespace te
