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
};

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
  for (const Case& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(const AdvertisingRanking ranking,
                            RankForAdvertising(c.interfaces, c.preferred));
    EXPECT_EQ(Candidates(ranking), c.candidates);
  }
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
