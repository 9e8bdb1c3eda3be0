#include "te/topology/gid.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* text;
  const char* printed;
  bool zero;
  bool link_local;
  bool ipv4;
};

TEST(GidTest, KnowsItsKinds) {
  const Case cases[] = {
      {"0000:0000:0000:0000:0000:0000:0000:0000", "::", true, false, false},
      {"fe80:0000:0000:0000:0ac0:ebff:fe12:3456", "fe80::ac0:ebff:fe12:3456",
       false, true, false},
      {"febf::1", "febf::1", false, true, false},
      {"fec0::1", "fec0::1", false, false, false},
      {"0000:0000:0000:0000:0000:ffff:0a00:0001", "::ffff:10.0.0.1", false,
       false, true},
      {"::ffff:169.254.3.4", "::ffff:169.254.3.4", false, true, true},
      {"2001:db8::9", "2001:db8::9", false, false, false},
  };
  for (const Case& c : cases) {
    TE_ASSERT_OK_AND_ASSIGN(const Gid gid, Gid::Parse(c.text));
    EXPECT_EQ(gid.ToString(), c.printed);
    EXPECT_EQ(gid.IsZero(), c.zero) << c.text;
    EXPECT_EQ(gid.IsLinkLocal(), c.link_local) << c.text;
    EXPECT_EQ(gid.IsIpv4Mapped(), c.ipv4) << c.text;
    TE_ASSERT_OK_AND_ASSIGN(const Gid again, Gid::Parse(gid.ToString()));
    EXPECT_EQ(again, gid);
  }
}

TEST(GidTest, RefusesAnythingElse) {
  for (const absl::string_view text :
       {absl::string_view(""), absl::string_view("10.0.0.1"),
        absl::string_view("fe80::1%eth0"), absl::string_view("fe80::1\n"),
        absl::string_view("::1\0::", 6), absl::string_view("fe80:::1")}) {
    EXPECT_THAT(
        Gid::Parse(text).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no GID")))
        << text;
  }
  EXPECT_FALSE(Gid::Parse(std::string(10000, 'f')).ok());
}

}  // namespace
}  // namespace te
