#include "te/metadata/redis_address.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RedisAddressTest, ReadsWhatIsDocumented) {
  const struct {
    const char* uri;
    RedisAddress address;
    const char* shown;
  } kCases[] = {
      {"redis://db", {.host = "db"}, "redis://db:6379"},
      {"redis://db/", {.host = "db"}, "redis://db:6379"},
      {"redis://10.0.0.1:7000/3",
       {.host = "10.0.0.1", .port = 7000, .database = 3},
       "redis://10.0.0.1:7000/3"},
      {"redis://[::1]:7000",
       {.host = "::1", .port = 7000},
       "redis://[::1]:7000"},
      {"redis://:secret@db",
       {.host = "db", .password = "secret"},
       "redis://db:6379"},
      {"redis://te:p%40ss%3A%2f@db:1",
       {.host = "db", .port = 1, .user = "te", .password = "p@ss:/"},
       "redis://db:1"},
      {"unix:///run/redis.sock",
       {.unix_path = "/run/redis.sock"},
       "unix:///run/redis.sock"},
      {"unix://te:secret@/run/redis.sock?db=2",
       {.unix_path = "/run/redis.sock",
        .user = "te",
        .password = "secret",
        .database = 2},
       "unix:///run/redis.sock?db=2"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.uri);
    EXPECT_THAT(RedisAddress::Parse(c.uri), IsOkAndHolds(c.address));
    EXPECT_EQ(c.address.ToString(), c.shown);
  }
}

TEST(RedisAddressTest, SaysWhatIsWrongWithoutThePassword) {
  const struct {
    std::string uri;
    const char* what;
  } kCases[] = {
      {"", "redis://"},
      {"http://secret@db", "redis://"},
      {"redis://", "host"},
      {"redis://:secret@", "host"},
      {"redis://:secret@db:0", "port 0"},
      {"redis://:secret@db:70000", "port"},
      {"redis://:abc/secret@db", "%2F"},
      {"redis://:secret", "malformed"},
      {"redis:/:secret@db", "redis://"},
      {"redis://:secret@db/x", "database"},
      {"redis://:secret@db/-1", "database"},
      {"redis://:@db", "password"},
      {"redis://secret@db", "password"},
      {"redis://:secret%4@db", "hexadecimal"},
      {"redis://:secret%zz@db", "hexadecimal"},
      {"unix://run/redis.sock", "absolute"},
      {"unix://:secret@/run/redis.sock?x=1", "?db="},
      {"unix:///" + std::string(200, 'x'), "bytes"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.uri);
    EXPECT_THAT(RedisAddress::Parse(c.uri),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(c.what), Not(HasSubstr("secret")))));
  }
}

TEST(RedisAddressTest, SaysThatThereIsNoTls) {
  EXPECT_THAT(RedisAddress::Parse("rediss://:secret@db"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("TLS"), Not(HasSubstr("secret")))));
}

}  // namespace
}  // namespace te
