#include "te/base/host_port.h"

#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Good {
  const char* text;
  const char* host;
  std::optional<uint16_t> port;
  const char* printed;
};

class HostPortGoodTest : public testing::TestWithParam<Good> {};

TEST_P(HostPortGoodTest, Parses) {
  TE_ASSERT_OK_AND_ASSIGN(HostPort parsed, HostPort::Parse(GetParam().text));
  EXPECT_EQ(parsed.host, GetParam().host);
  EXPECT_EQ(parsed.port, GetParam().port);
  EXPECT_EQ(parsed.ToString(), GetParam().printed);
  EXPECT_THAT(HostPort::Parse(parsed.ToString()), IsOkAndHolds(parsed));
}

INSTANTIATE_TEST_SUITE_P(
    All, HostPortGoodTest,
    testing::Values(
        Good{"db7", "db7", std::nullopt, "db7"},
        Good{"db_7.example:9000", "db_7.example", 9000, "db_7.example:9000"},
        Good{"10.0.0.1:0", "10.0.0.1", 0, "10.0.0.1:0"},
        Good{"10.0.0.1:65535", "10.0.0.1", 65535, "10.0.0.1:65535"},
        Good{"::1", "::1", std::nullopt, "[::1]"},
        Good{"[::1]", "::1", std::nullopt, "[::1]"},
        Good{"[::1]:80", "::1", 80, "[::1]:80"},
        Good{"[fe80::1%eth0]:80", "fe80::1%eth0", 80, "[fe80::1%eth0]:80"},
        Good{"fe80::1%eth0", "fe80::1%eth0", std::nullopt, "[fe80::1%eth0]"},
        Good{"::ffff:10.0.0.1", "::ffff:10.0.0.1", std::nullopt,
             "[::ffff:10.0.0.1]"}));

struct Bad {
  std::string text;
  const char* problem;
};

class HostPortBadTest : public testing::TestWithParam<Bad> {};

TEST_P(HostPortBadTest, SaysWhatIsWrong) {
  EXPECT_THAT(HostPort::Parse(GetParam().text),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("malformed address"),
                             HasSubstr(GetParam().problem))));
}

INSTANTIATE_TEST_SUITE_P(
    All, HostPortBadTest,
    testing::Values(Bad{"", "host is missing"}, Bad{":80", "host is missing"},
                    Bad{"a:", "port ''"}, Bad{"a:b", "port 'b'"},
                    Bad{"a:+1", "port '+1'"}, Bad{"a: 1", "port ' 1'"},
                    Bad{"a:65536", "port '65536'"}, Bad{"a:1-2", "port '1-2'"},
                    Bad{"[::1", "not closed"}, Bad{"[::1]80", "after ']'"},
                    Bad{"[::1]:", "port ''"}, Bad{"[10.0.0.1]:1", "no IPv6"},
                    Bad{"[]:1", "no IPv6"}, Bad{"1:2:3", "[address]:port"},
                    Bad{"::1%", "[address]:port"},
                    Bad{"::1%0123456789abcdef", "[address]:port"},
                    Bad{"a b:1", "letters"}, Bad{"http://a", "port '//a'"},
                    Bad{std::string("a\0b:1", 5), "letters"},
                    Bad{std::string("::1\0", 4), "[address]:port"},
                    Bad{std::string(254, 'a'), "253"}));

TEST(HostPortRangeTest, ParsesPortsAndRanges) {
  TE_ASSERT_OK_AND_ASSIGN(HostPortRange range,
                          HostPortRange::Parse("[::1]:9000-9100"));
  EXPECT_EQ(range.host, "::1");
  EXPECT_EQ(range.ports, (PortRange{9000, 9100}));
  EXPECT_EQ(range.ports->size(), 101u);
  EXPECT_EQ(range.ToString(), "[::1]:9000-9100");

  TE_ASSERT_OK_AND_ASSIGN(range, HostPortRange::Parse("db7:80"));
  EXPECT_EQ(range.ports, (PortRange{80, 80}));
  EXPECT_EQ(range.ToString(), "db7:80");

  TE_ASSERT_OK_AND_ASSIGN(range, HostPortRange::Parse("db7"));
  EXPECT_EQ(range.ports, std::nullopt);
  EXPECT_EQ(range.ToString(), "db7");
}

TEST(HostPortRangeTest, RefusesRangesThatMakeNoSense) {
  EXPECT_THAT(
      HostPortRange::Parse("a:9100-9000"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ends before")));
  EXPECT_THAT(
      HostPortRange::Parse("a:0-10"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 alone")));
  for (const char* text : {"a:1-", "a:-1", "a:1-2-3", "a:1-99999"}) {
    EXPECT_THAT(HostPortRange::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("port")))
        << text;
  }
}

TEST(PortRangeTest, ParsesAlone) {
  EXPECT_THAT(PortRange::Parse("9000-9100"),
              IsOkAndHolds(PortRange{9000, 9100}));
  EXPECT_THAT(PortRange::Parse("0"), IsOkAndHolds(PortRange{0, 0}));
  EXPECT_THAT(PortRange::Parse("x"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace te
