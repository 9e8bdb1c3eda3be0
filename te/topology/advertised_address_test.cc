#include "te/topology/advertised_address.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/topology/network_interfaces.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

NetworkInterface Up(std::string name, const std::vector<std::string>& ips) {
  NetworkInterface interface { .name = std::move(name), .up = true };
  for (const std::string& ip : ips) {
    interface.addresses.push_back(*SocketAddress::FromIp(ip, 0));
  }
  return interface;
}

NetworkInterface Down(std::string name, const std::vector<std::string>& ips) {
  NetworkInterface interface = Up(std::move(name), ips);
  interface.up = false;
  return interface;
}

NetworkInterface Loopback() {
  NetworkInterface interface = Up("lo", {"127.0.0.1", "::1"});
  interface.loopback = true;
  return interface;
}

// "eth0 10.0.0.1" for each candidate.
std::vector<std::string> Candidates(const AdvertisingRanking& ranking) {
  std::vector<std::string> lines;
  for (const AdvertisingCandidate& candidate : ranking.candidates) {
    lines.push_back(
        absl::StrCat(candidate.interface, " ", candidate.address.ip()));
  }
  return lines;
}

struct Case {
  std::string title;
  std::vector<NetworkInterface> interfaces;
  std::string preferred;
  std::vector<std::string> candidates;
  std::vector<RouteToServer> routes = {};
};

void ExpectRankings(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(
        const AdvertisingRanking ranking,
        RankForAdvertising(c.interfaces, c.preferred, c.routes));
    EXPECT_EQ(Candidates(ranking), c.candidates);
  }
}

RouteToServer Route(const std::string& destination, const std::string& source) {
  return {.server = "the metadata server",
          .destination = *SocketAddress::FromIp(destination, 6379),
          .source = *SocketAddress::FromIp(source, 0)};
}

TEST(AdvertisedAddressTest, Ranks) {
  const std::vector<Case> cases = {
      {"one NIC",
       {Loopback(), Up("eth0", {"10.0.0.1"})},
       "",
       {"eth0 10.0.0.1"}},
      {"IPv4, global IPv6, unique local IPv6; the rest in the kernel's order",
       {Up("eth0", {"fd00::1", "2001:db8::1", "10.0.0.1"}),
        Up("eth1", {"2001:db8::2", "10.0.0.2"})},
       "",
       {"eth0 10.0.0.1", "eth1 10.0.0.2", "eth0 2001:db8::1",
        "eth1 2001:db8::2", "eth0 fd00::1"}},
      {"IPv6 only",
       {Loopback(), Up("eth0", {"fe80::1", "2001:db8::1"})},
       "",
       {"eth0 2001:db8::1"}},
      {"a host of containers, whose bridges come first",
       {Loopback(), Up("docker0", {"172.17.0.1"}),
        Up("br-51f2a4", {"172.18.0.1"}), Up("veth12ab", {"fe80::2"}),
        Up("flannel.1", {"10.244.0.0"}), Up("cni0", {"10.244.0.1"}),
        Up("enp1s0", {"192.168.1.5"})},
       "",
       {"enp1s0 192.168.1.5"}},
      {"a bridge that is the machine's own network",
       {Up("br0", {"192.168.1.5"})},
       "",
       {"br0 192.168.1.5"}},
      {"down",
       {Down("eth0", {"10.0.0.1"}), Up("eth1", {"10.0.0.2"})},
       "",
       {"eth1 10.0.0.2"}},
      {"no network: loopback is the last resort",
       {Loopback(), Down("eth0", {"10.0.0.1"}), Up("docker0", {"172.17.0.1"})},
       "",
       {"lo 127.0.0.1", "lo ::1"}},
      {"no interface at all", {}, "", {}},
      {"a named interface wins, whatever it is",
       {Loopback(), Up("eth0", {"10.0.0.1"}), Up("docker0", {"172.17.0.1"})},
       "docker0",
       {"docker0 172.17.0.1", "eth0 10.0.0.1"}},
      {"a named address wins",
       {Up("eth0", {"10.0.0.1", "10.0.0.9", "fd00::9"})},
       "fd00::9",
       {"eth0 fd00::9", "eth0 10.0.0.1", "eth0 10.0.0.9"}},
      {"a named address in another spelling",
       {Loopback(), Up("eth0", {"10.0.0.1"})},
       "0:0:0:0:0:0:0:1",
       {"lo ::1", "eth0 10.0.0.1"}},
      {"a named interface gives its link-local address last",
       {Up("eth0", {"169.254.7.7", "10.0.0.1"})},
       "eth0",
       {"eth0 10.0.0.1", "eth0 169.254.7.7"}},
  };
  ExpectRankings(cases);
}

std::vector<NetworkInterface> TwoNetworks() {
  return {Loopback(), Up("eth0", {"10.0.0.1"}),
          Up("eth1", {"10.1.0.1", "2001:db8::1", "10.1.0.2"})};
}

TEST(AdvertisedAddressTest, RanksByTheRoutesToServers) {
  const std::vector<NetworkInterface> two = TwoNetworks();
  const std::vector<Case> cases = {
      {"an address, and then the others of its interface",
       two,
       "",
       {"eth1 10.1.0.2", "eth1 10.1.0.1", "eth1 2001:db8::1", "eth0 10.0.0.1"},
       {Route("10.9.0.5", "10.1.0.2")}},
      {"IPv6 although there is IPv4",
       two,
       "",
       {"eth1 2001:db8::1", "eth1 10.1.0.1", "eth1 10.1.0.2", "eth0 10.0.0.1"},
       {Route("2001:db8::5", "2001:db8::1")}},
      {"the user knows better",
       two,
       "eth0",
       {"eth0 10.0.0.1", "eth1 10.1.0.2", "eth1 10.1.0.1", "eth1 2001:db8::1"},
       {Route("10.9.0.5", "10.1.0.2")}},
      {"among the addresses of what the user named",
       two,
       "eth1",
       {"eth1 10.1.0.2", "eth1 10.1.0.1", "eth1 2001:db8::1", "eth0 10.0.0.1"},
       {Route("10.9.0.5", "10.1.0.2")}},
      {"the first of two servers",
       two,
       "",
       {"eth0 10.0.0.1", "eth1 10.1.0.1", "eth1 10.1.0.2", "eth1 2001:db8::1"},
       {Route("10.0.0.5", "10.0.0.1"), Route("10.1.0.5", "10.1.0.1")}},
      {"the second, since the first is on this host",
       two,
       "",
       {"eth1 10.1.0.1", "eth1 10.1.0.2", "eth1 2001:db8::1", "eth0 10.0.0.1"},
       {Route("127.0.0.1", "127.0.0.1"), Route("10.1.0.5", "10.1.0.1")}},
  };
  ExpectRankings(cases);
}

TEST(AdvertisedAddressTest, ARouteMayNotSayWhichAddressIsBest) {
  const std::vector<NetworkInterface> two = TwoNetworks();
  const std::vector<NetworkInterface> docker = {
      Loopback(), Up("docker0", {"172.17.0.1"}), Up("eth0", {"10.0.0.1"})};
  const std::vector<NetworkInterface> zone = {
      Up("eth0", {"10.0.0.1"}), Up("eth1", {"fe80::1", "10.1.0.1"})};
  const std::vector<Case> cases = {
      {"a server at a loopback address",
       two,
       "",
       {"eth0 10.0.0.1", "eth1 10.1.0.1", "eth1 10.1.0.2", "eth1 2001:db8::1"},
       {Route("127.0.0.1", "127.0.0.1"), Route("::1", "::1")}},
      {"a server at an address of this host, which may move with it",
       two,
       "",
       {"eth1 10.1.0.1", "eth1 10.1.0.2", "eth1 2001:db8::1", "eth0 10.0.0.1"},
       {Route("10.1.0.2", "10.1.0.2")}},
      {"a server in a container of this host",
       docker,
       "",
       {"eth0 10.0.0.1"},
       {Route("172.17.0.2", "172.17.0.1")}},
      {"a server on the link: the other address of the interface",
       zone,
       "",
       {"eth1 10.1.0.1", "eth0 10.0.0.1"},
       {Route("fe80::5", "fe80::1")}},
      {"a source that no interface has",
       zone,
       "",
       {"eth0 10.0.0.1", "eth1 10.1.0.1"},
       {Route("10.9.0.5", "10.7.0.1")}},
      {"no network: the order of loopback stays",
       {Loopback()},
       "",
       {"lo 127.0.0.1", "lo ::1"},
       {Route("::1", "::1")}},
  };
  ExpectRankings(cases);
}

TEST(AdvertisedAddressTest, SaysWhyACandidateStandsWhereItDoes) {
  const auto reasons = [](const AdvertisingRanking& ranking) {
    std::vector<std::string> lines;
    for (const AdvertisingCandidate& candidate : ranking.candidates) {
      lines.push_back(
          absl::StrCat(candidate.address.ip(), " ", candidate.reason));
    }
    return lines;
  };
  const std::vector<NetworkInterface> interfaces = {
      Up("eth0", {"10.0.0.1", "2001:db8::1", "fd00::1"}),
      Up("eth1", {"10.1.0.1", "10.1.0.2"})};
  TE_ASSERT_OK_AND_ASSIGN(
      AdvertisingRanking ranking,
      RankForAdvertising(interfaces, "", {Route("10.9.0.5", "10.1.0.2")}));
  EXPECT_THAT(
      reasons(ranking),
      ElementsAre(
          "10.1.0.2 carries the route to the metadata server 10.9.0.5",
          "10.1.0.1 is of eth1, as the route to the metadata server 10.9.0.5 "
          "is",
          "10.0.0.1 is IPv4", "2001:db8::1 is global IPv6",
          "fd00::1 is unique local IPv6"));
  TE_ASSERT_OK_AND_ASSIGN(ranking, RankForAdvertising(interfaces, "fd00::1"));
  EXPECT_EQ(reasons(ranking).front(), "fd00::1 is named");
  TE_ASSERT_OK_AND_ASSIGN(ranking, RankForAdvertising(interfaces, "eth1"));
  EXPECT_EQ(reasons(ranking).front(), "10.1.0.1 is of eth1, which is named");
  TE_ASSERT_OK_AND_ASSIGN(
      ranking,
      RankForAdvertising({Loopback()}, "", {Route("127.0.0.2", "127.0.0.1")}));
  EXPECT_THAT(reasons(ranking).front(), HasSubstr("is loopback"));
}

TEST(AdvertisedAddressTest, SaysWhatItSkippedAndWhy) {
  TE_ASSERT_OK_AND_ASSIGN(
      const AdvertisingRanking ranking,
      RankForAdvertising({Loopback(), Down("eth0", {"10.0.0.1"}), Up("ib0", {}),
                          Up("docker0", {"172.17.0.1"}),
                          Up("eth1", {"fe80::1", "169.254.0.1", "10.0.0.2"})},
                         ""));
  std::vector<std::string> lines;
  for (const SkippedForAdvertising& skipped : ranking.skipped) {
    lines.push_back(absl::StrCat(skipped.interface, " ", skipped.address, " ",
                                 skipped.reason));
  }
  EXPECT_THAT(lines, ElementsAre("lo  is loopback", "eth0  is down",
                                 "ib0  has no IP address",
                                 HasSubstr("docker0  is a bridge of Docker"),
                                 HasSubstr("eth1 fe80::1 is link-local"),
                                 HasSubstr("eth1 169.254.0.1 is link-local")));
}

TEST(AdvertisedAddressTest, ErrorsNameWhatThereIs) {
  const std::vector<NetworkInterface> interfaces = {
      Loopback(), Up("eth0", {"10.0.0.1"}), Down("eth1", {"10.0.0.2"}),
      Up("ib0", {})};
  for (const char* missing : {"eth7", "10.0.0.7", "fe80::1%nonesuch"}) {
    EXPECT_THAT(RankForAdvertising(interfaces, missing),
                StatusIs(absl::StatusCode::kNotFound,
                         AllOf(HasSubstr(missing), HasSubstr("eth0 10.0.0.1"))))
        << missing;
  }
  for (const char* down : {"eth1", "10.0.0.2"}) {
    EXPECT_THAT(RankForAdvertising(interfaces, down),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("interface eth1")))
        << down;
  }
  EXPECT_THAT(RankForAdvertising(interfaces, "ib0"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no IP address")));
}

}  // namespace
}  // namespace te
