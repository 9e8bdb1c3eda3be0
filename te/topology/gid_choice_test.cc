#include "te/topology/gid_choice.h"

#include <stdint.h>

#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/topology/gid.h"
#include "te/topology/nic.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr GidType kV1 = GidType::kRoceV1;
constexpr GidType kV2 = GidType::kRoceV2;
constexpr GidType kIb = GidType::kInfiniBand;

// The bytes of "10.0.0.1" or "fd00::1".
Gid GidAt(absl::string_view ip) {
  const bool v4 = ip.find(':') == absl::string_view::npos;
  return *Gid::Parse(absl::StrCat(v4 ? "::ffff:" : "", ip));
}

GidEntry Entry(int index, absl::string_view ip, GidType type = kV2,
               std::string netdev = "eth2") {
  return {.index = index,
          .gid = GidAt(ip),
          .type = type,
          .netdev = std::move(netdev)};
}

GidEnd Ethernet(std::vector<GidEntry> gids, std::string netdev = "eth2") {
  return {.device = "mlx5_0",
          .port = {.link_layer = LinkLayer::kEthernet,
                   .netdev = std::move(netdev),
                   .gids = std::move(gids)}};
}

// A table as mlx5 makes it: each address as v1 and as v2, from index 0.
GidEnd Mlx5(const std::vector<std::string>& ips) {
  std::vector<GidEntry> gids;
  int index = 0;
  for (const std::string& ip : ips) {
    gids.push_back(Entry(index++, ip, kV1));
    gids.push_back(Entry(index++, ip, kV2));
  }
  return Ethernet(std::move(gids));
}

GidEnd WithSource(GidEnd end, absl::string_view ip) {
  end.source = *SocketAddress::FromIp(ip, 0);
  return end;
}

GidEnd Forced(GidEnd end, int index) {
  end.forced_index = index;
  return end;
}

// A port with a LID and, unless empty, one GID.
GidEnd InfiniBand(uint16_t lid, absl::string_view gid) {
  GidEnd end = {.device = "ibp1s0",
                .port = {.link_layer = LinkLayer::kInfiniBand, .lid = lid}};
  if (!gid.empty()) end.port.gids = {Entry(0, gid, kIb, "")};
  return end;
}

// "3-5" for each pair, with "?" where the peer's is not known.
std::vector<std::string> Indexes(const GidChoice& choice) {
  std::vector<std::string> texts;
  for (const GidPair& pair : choice.pairs) {
    texts.push_back(absl::StrCat(
        pair.local.index, "-",
        pair.remote.has_value() ? absl::StrCat(pair.remote->index) : "?"));
  }
  return texts;
}

std::vector<std::string> Skipped(const GidChoice& choice) {
  std::vector<std::string> texts;
  for (const SkippedGid& skipped : choice.skipped) {
    texts.push_back(absl::StrCat(skipped.entry.index, " ", skipped.reason));
  }
  return texts;
}

struct Case {
  std::string title;
  GidEnd local;
  GidEnd remote;
  std::vector<std::string> pairs;
};

// Also that the other end comes to the same.
void ExpectChoices(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                            ChooseGids(c.local, c.remote));
    EXPECT_EQ(Indexes(choice), c.pairs);
    EXPECT_FALSE(choice.by_lid);
    for (const GidPair& pair : choice.pairs) EXPECT_NE(pair.reason, "");
    if (!c.remote.port.gids.has_value()) continue;
    TE_ASSERT_OK_AND_ASSIGN(const GidChoice other,
                            ChooseGids(c.remote, c.local));
    EXPECT_EQ(other.pairs.front().local, choice.pairs.front().remote);
    EXPECT_EQ(other.pairs.front().remote, choice.pairs.front().local);
  }
}

TEST(GidChoiceTest, ChoosesByTypeAndAddress) {
  const std::vector<Case> cases = {
      {"link-local first, IPv4 next, as mlx5 has it",
       Mlx5({"fe80::1", "10.0.0.1"}),
       Mlx5({"fe80::2", "10.0.0.2"}),
       {"3-3", "1-1"}},
      {"a peer with IPv4 alone",
       Mlx5({"fe80::1", "10.0.0.1"}),
       Ethernet({Entry(5, "10.0.0.2")}),
       {"3-5"}},
      {"IPv6 alone",
       Mlx5({"fe80::1", "2001:db8::1"}),
       Mlx5({"fe80::2", "2001:db8::2"}),
       {"3-3", "1-1"}},
      {"RFC 1918 alone",
       Ethernet({Entry(0, "192.168.4.1")}),
       Ethernet({Entry(0, "172.16.9.2")}),
       {"0-0"}},
      {"link-local alone", Mlx5({"fe80::1"}), Mlx5({"fe80::2"}), {"1-1"}},
      {"link-local IPv4 (RFC 3927) alone",
       Mlx5({"169.254.3.1"}),
       Mlx5({"fe80::2", "169.254.3.2"}),
       {"1-3"}},
      {"IPv4, global IPv6, unique local IPv6, link-local",
       Mlx5({"fe80::1", "fd00::1", "2001:db8::1", "10.0.0.1"}),
       Mlx5({"fe80::2", "fd00::2", "2001:db8::2", "10.0.0.2"}),
       {"7-7", "5-5", "3-3", "1-1"}},
      {"global IPv6 here, unique local there",
       Mlx5({"2001:db8::1"}),
       Mlx5({"fd00::2"}),
       {"1-1"}},
      {"RoCE v1 alone there",
       Mlx5({"fe80::1", "10.0.0.1"}),
       Ethernet({Entry(0, "10.0.0.2", kV1)}),
       {"2-0"}},
      {"RoCE v1 alone at both",
       Ethernet({Entry(0, "fe80::1", kV1), Entry(1, "10.0.0.1", kV1)}),
       Ethernet({Entry(0, "fe80::2", kV1), Entry(1, "10.0.0.2", kV1)}),
       {"1-1", "0-0"}},
      {"types that an old kernel does not tell",
       Ethernet({Entry(0, "10.0.0.1", GidType::kUnknown)}),
       Ethernet({Entry(0, "10.0.0.2", GidType::kUnknown)}),
       {"0-0"}},
      {"among equals the lower index",
       Ethernet({Entry(4, "10.0.0.3"), Entry(6, "10.0.0.1")}),
       Ethernet({Entry(7, "10.0.0.4"), Entry(5, "10.0.0.2")}),
       {"4-5", "6-5"}},
      {"entries that repeat others",
       Ethernet({Entry(3, "10.0.0.1"), Entry(4, "10.0.0.1"),
                 Entry(5, "10.0.0.1", kV2, "eth2.7")}),
       Mlx5({"10.0.0.2"}),
       {"3-1", "5-1"}},
      {"a peer that has told nothing yet: v1 stays, as a last resort",
       Mlx5({"fe80::1", "10.0.0.1"}),
       {},
       {"3-?", "1-?", "2-?", "0-?"}},
  };
  ExpectChoices(cases);
}

TEST(GidChoiceTest, ChoosesByNetwork) {
  const GidEnd vlan = Ethernet({Entry(0, "fe80::1"), Entry(1, "10.0.0.1"),
                                Entry(2, "fe80::1", kV2, "eth2.100"),
                                Entry(3, "10.0.100.1", kV2, "eth2.100")});
  const GidEnd bond = Ethernet(
      {Entry(0, "fe80::1", kV2, "bond0"), Entry(1, "10.0.0.1", kV2, "bond0"),
       Entry(2, "fe80::7", kV2, "eth3"), Entry(3, "10.0.0.3", kV2, "eth3")},
      "bond0");
  const GidEnd two = Mlx5({"10.1.0.1", "10.2.0.1"});
  const GidEnd two_there = Mlx5({"10.1.0.2", "10.2.0.2"});
  const std::vector<Case> cases = {
      {"a peer in the VLAN's subnet",
       vlan,
       Ethernet({Entry(0, "10.0.100.2")}),
       {"3-0", "1-0"}},
      {"a peer in the netdev's own",
       vlan,
       Ethernet({Entry(0, "10.0.0.2")}),
       {"1-0", "3-0"}},
      {"a peer in both: the netdev in use",
       vlan,
       Ethernet(
           {Entry(5, "10.0.100.2", kV2, "eth2.100"), Entry(9, "10.0.0.2")}),
       {"1-9", "3-5"}},
      {"a peer behind a router, which the kernel reaches through the VLAN",
       WithSource(vlan, "10.0.100.1"),
       Ethernet({Entry(0, "10.9.0.2")}),
       {"3-0", "1-0"}},
      {"a link-local peer: not from the VLAN's link-local",
       vlan,
       Ethernet({Entry(0, "fe80::2")}),
       {"0-0"}},
      {"a bond, before the address that was left on its member",
       bond,
       Ethernet({Entry(0, "10.0.0.2")}),
       {"1-0", "3-0"}},
      {"two subnets, each with its own", two, two_there, {"1-1", "3-3"}},
      {"two subnets: the kernel picks",
       WithSource(two, "10.2.0.1"),
       two_there,
       {"3-3", "1-1"}},
      {"two subnets: the peer's kernel picks",
       two,
       WithSource(two_there, "10.2.0.2"),
       {"3-3", "1-3"}},
      {"two subnets and a peer behind a router",
       WithSource(two, "10.2.0.1"),
       Mlx5({"10.9.0.2"}),
       {"3-1", "1-1"}},
      {"IPv6 because the kernel goes there",
       WithSource(Mlx5({"10.0.0.1", "2001:db8::1"}), "2001:db8::1"),
       WithSource(Mlx5({"10.0.0.2", "2001:db8::2"}), "2001:db8::2"),
       {"3-3", "1-1"}},
      {"link-local is the last resort, even as the source",
       WithSource(Mlx5({"fe80::1", "10.0.0.1"}), "fe80::1"),
       Mlx5({"fe80::2", "10.0.0.2"}),
       {"3-3", "1-1"}},
      {"a source on another NIC says nothing",
       WithSource(two, "192.168.1.1"),
       two_there,
       {"1-1", "3-3"}},
      {"a source picks no older RoCE",
       WithSource(Ethernet({Entry(0, "10.0.0.1"), Entry(1, "10.0.0.9", kV1)}),
                  "10.0.0.9"),
       Mlx5({"10.0.0.2"}),
       {"0-1"}},
  };
  ExpectChoices(cases);
}

TEST(GidChoiceTest, SaysWhy) {
  const GidEnd local = WithSource(
      Ethernet({Entry(0, "fe80::1", kV1), Entry(1, "fe80::1"),
                Entry(2, "10.0.0.1", kV1), Entry(3, "10.0.0.1"),
                Entry(4, "2001:db8::1"), Entry(5, "10.0.7.1", kV2, "eth2.7"),
                Entry(6, "fe80::1", kV2, "eth2.7"), Entry(7, "127.0.0.1"),
                Entry(8, "::1"), Entry(9, "ff02::1"), Entry(10, "0.0.0.0"),
                Entry(11, "224.0.0.1"), Entry(12, "::"),
                Entry(13, "10.0.0.3", kIb), Entry(14, "10.0.0.1"),
                Entry(256, "10.0.0.4")}),
      "10.0.0.1");
  TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                          ChooseGids(local, Mlx5({"10.0.0.2"})));
  std::vector<std::string> reasons;
  for (const GidPair& pair : choice.pairs) {
    reasons.push_back(absl::StrCat(pair.local.index, " ", pair.reason));
  }
  EXPECT_THAT(
      reasons,
      ElementsAre("3 is RoCE v2, IPv4, the source of the route to the peer",
                  "5 is RoCE v2, IPv4, of eth2.7, not of eth2, the netdev in "
                  "use"));
  EXPECT_THAT(
      Skipped(choice),
      ElementsAre("6 is link-local, and of eth2.7, not of the netdev in use",
                  "7 is loopback", "8 is loopback", "9 is multicast",
                  "10 is no address of a host", "11 is multicast or reserved",
                  "12 is empty", "13 is IB on Ethernet", "14 repeats index 3",
                  "256 has an index above 255, or below 0",
                  "0 is link-local, which the peer has not",
                  "1 is link-local, which the peer has not",
                  "4 is IPv6, which the peer has not",
                  "2 is RoCE v1, and both ends have RoCE v2"));
}

TEST(GidChoiceTest, AForcedIndexWins) {
  const GidEnd local = Mlx5({"fe80::1", "10.0.0.1"});
  const GidEnd remote = Mlx5({"fe80::2", "10.0.0.2"});
  ExpectChoices({
      {"link-local of RoCE v1", Forced(local, 0), remote, {"0-0"}},
      {"at both ends", Forced(local, 2), Forced(remote, 2), {"2-2"}},
      {"against the kernel",
       WithSource(Forced(local, 1), "10.0.0.1"),
       remote,
       {"1-1"}},
      {"a link-local entry of a VLAN",
       Forced(Ethernet({Entry(0, "fe80::1"), Entry(1, "fe80::1", kV2, "v7")}),
              1),
       remote,
       {"1-1"}},
  });
  TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                          ChooseGids(Forced(local, 3), remote));
  EXPECT_THAT(Skipped(choice)[0], "0 is not index 3, which is forced");

  EXPECT_THAT(
      ChooseGids(Forced(local, 7), remote),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("GID index 7"), HasSubstr("mlx5_0 port 1"),
                     HasSubstr("3 ::ffff:10.0.0.1 (RoCE v2, eth2)"))));
  EXPECT_THAT(ChooseGids(local, Forced(remote, 7)),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("mlx5_0 port 1 of the peer")));
  GidEnd target = Forced(local, 7);
  target.owner = "the target";
  EXPECT_THAT(ChooseGids(target, remote),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("mlx5_0 port 1 of the target")));
  EXPECT_THAT(
      ChooseGids(Forced(Ethernet({Entry(0, "127.0.0.1")}), 0), remote),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("forced GID index 0 of mlx5_0 port 1 is loopback")));
  EXPECT_THAT(ChooseGids(Forced(local, 3), Mlx5({"2001:db8::2"})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("IPv4 and the other IPv6")));
}

TEST(GidChoiceTest, SaysWhatBothEndsHaveIfNothingFits) {
  struct Failure {
    std::string title;
    GidEnd local;
    GidEnd remote;
    std::string text;
  };
  GidEnd unknown = Ethernet({});
  unknown.port.gids.reset();
  const GidEnd v4 = Mlx5({"fe80::1", "10.0.0.1"});
  const std::vector<Failure> failures = {
      {"families", v4, Ethernet({Entry(0, "2001:db8::2")}),
       "one has IPv4 and the other IPv6: give both netdevs"},
      {"link-local there", Ethernet({Entry(0, "10.0.0.1")}),
       Ethernet({Entry(0, "fe80::2")}), "give its netdev an IP address"},
      {"types", Ethernet({Entry(0, "10.0.0.1")}),
       Ethernet({Entry(0, "10.0.0.2", kV1)}), "switch on RoCE v2"},
      {"an empty table here", Ethernet({}), v4,
       "mlx5_0 port 1 has no usable GID: has eth2 an IP address"},
      {"an empty table there", v4, Ethernet({}),
       "mlx5_0 port 1 of the peer has no usable GID"},
      {"an unknown table here", unknown, v4,
       "the GID table of mlx5_0 port 1 is not known"},
      {"link layers", v4, InfiniBand(4, "fe80::2"),
       "one is Ethernet and the other InfiniBand"},
  };
  for (const Failure& failure : failures) {
    SCOPED_TRACE(failure.title);
    EXPECT_THAT(ChooseGids(failure.local, failure.remote),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(failure.text),
                               HasSubstr("mlx5_0 port 1 has: "),
                               HasSubstr("port 1 of the peer has: "))));
    EXPECT_THAT(ChooseGids(failure.remote, failure.local).ok(),
                // Not told is no failure.
                !failure.local.port.gids.has_value());
  }
}

TEST(GidChoiceTest, InfiniBandPortsHaveLids) {
  const std::string a = "fec0:0:0:1::a";
  const std::string b = "fec0:0:0:1::b";
  struct LidCase {
    std::string title;
    GidEnd local;
    GidEnd remote;
    bool by_lid;
    std::vector<std::string> pairs;
  };
  const std::vector<LidCase> cases = {
      {"one subnet", InfiniBand(3, a), InfiniBand(4, b), true, {"0-0"}},
      {"the default prefix",
       InfiniBand(3, "fe80::a"),
       InfiniBand(4, "fe80::b"),
       true,
       {"0-0"}},
      {"no GID is needed", InfiniBand(3, ""), InfiniBand(4, ""), true, {}},
      {"no GID there", InfiniBand(3, a), InfiniBand(4, ""), true, {"0-?"}},
      {"nothing told yet", InfiniBand(3, a), {}, true, {"0-?"}},
      {"no LID there", InfiniBand(3, a), InfiniBand(0, b), false, {"0-0"}},
      {"no LID here", InfiniBand(0, a), InfiniBand(4, b), false, {"0-0"}},
      {"forced", Forced(InfiniBand(3, a), 0), InfiniBand(4, b), false, {"0-0"}},
  };
  for (const LidCase& c : cases) {
    SCOPED_TRACE(c.title);
    TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                            ChooseGids(c.local, c.remote));
    EXPECT_EQ(choice.by_lid, c.by_lid);
    EXPECT_EQ(Indexes(choice), c.pairs);
  }
  GidEnd aliases = InfiniBand(3, "");
  aliases.port.gids = {Entry(1, "fec0:0:0:1::1a", kIb, ""),
                       Entry(0, a, kIb, ""), Entry(2, a, kV1, "")};
  TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                          ChooseGids(aliases, InfiniBand(4, b)));
  EXPECT_THAT(Indexes(choice), ElementsAre("0-0", "1-0"));
  EXPECT_THAT(Skipped(choice), ElementsAre("2 is RoCE v1 on InfiniBand"));
}

TEST(GidChoiceTest, InfiniBandSubnetsNeedARouter) {
  const GidEnd one = InfiniBand(3, "fec0:0:0:1::a");
  const GidEnd two = InfiniBand(4, "fec0:0:0:2::b");
  const GidEnd unrouted = InfiniBand(5, "fe80::c");
  EXPECT_THAT(ChooseGids(one, two),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("different InfiniBand subnets")));
  TE_ASSERT_OK_AND_ASSIGN(const GidChoice choice,
                          ChooseGids(one, two, {.global_routing = true}));
  EXPECT_FALSE(choice.by_lid);
  EXPECT_THAT(Indexes(choice), ElementsAre("0-0"));
  EXPECT_THAT(choice.pairs[0].reason, HasSubstr("routed"));
  for (const bool global_routing : {false, true}) {
    EXPECT_THAT(ChooseGids(one, unrouted, {.global_routing = global_routing}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("different InfiniBand subnets")));
  }
}

TEST(GidChoiceTest, WhatAPeerTellsIsBoundedAndEscaped) {
  GidEnd hostile = Ethernet({}, std::string(1000, '\n'));
  hostile.device = "\x1b[2J";
  for (int i = 0; i < 100'000; ++i) {
    hostile.port.gids->push_back(
        Entry(i % 1000 - 300, "2001:db8::2", kV2, "\x1b[2J"));
  }
  const absl::StatusOr<GidChoice> choice =
      ChooseGids(Mlx5({"10.0.0.1"}), hostile);
  ASSERT_THAT(choice,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("\\x1b[2J"), HasSubstr("99984 more"),
                             Not(HasSubstr("\x1b")))));
  EXPECT_LT(choice.status().message().size(), 2000);
}

// Tables at random of few addresses. `network` keeps the two ends apart.
GidEnd RandomEnd(std::mt19937& random, int network) {
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  const std::vector<std::string> ips = {
      absl::StrCat("10.0.0.", network),    absl::StrCat("10.0.100.", network),
      absl::StrCat("fe80::", network),     absl::StrCat("169.254.0.", network),
      absl::StrCat("2001:db8::", network), absl::StrCat("fd00::", network)};
  std::vector<GidEntry> gids;
  for (int n = below(7); n > 0; --n) {
    gids.push_back(Entry(below(10), ips[below(6)], below(2) == 0 ? kV1 : kV2,
                         below(3) == 0 ? "eth2.100" : "eth2"));
  }
  GidEnd end = Ethernet(std::move(gids));
  return below(3) == 0 ? WithSource(end, ips[below(2)]) : end;
}

TEST(GidChoiceTest, BothEndsChooseTheSame) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  int chosen = 0;
  for (int i = 0; i < 5000; ++i) {
    const GidEnd a = RandomEnd(random, 1);
    const GidEnd b = RandomEnd(random, 2);
    const absl::StatusOr<GidChoice> here = ChooseGids(a, b);
    const absl::StatusOr<GidChoice> there = ChooseGids(b, a);
    ASSERT_EQ(here.ok(), there.ok()) << here.status() << there.status();
    if (!here.ok()) continue;
    ++chosen;
    ASSERT_EQ(here->pairs.front().local, there->pairs.front().remote);
    ASSERT_EQ(here->pairs.front().remote, there->pairs.front().local);
    for (const GidPair& pair : here->pairs) {
      ASSERT_EQ(pair.local.type, pair.remote->type);
      ASSERT_EQ(pair.local.gid.IsIpv4Mapped(), pair.remote->gid.IsIpv4Mapped());
      ASSERT_EQ(pair.local.gid.IsLinkLocal(), pair.remote->gid.IsLinkLocal());
    }
    ASSERT_EQ(here->pairs.size() + here->skipped.size(), a.port.gids->size());
  }
  EXPECT_GT(chosen, 1000);
}

}  // namespace
}  // namespace te
