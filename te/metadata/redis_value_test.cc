#include "te/metadata/redis_value.h"

#include <stdint.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_reader.h"

namespace te {
namespace {

using ::testing::HasSubstr;

std::string Head(uint64_t replaced, uint64_t version, const char* count) {
  return absl::StrCat("te1:", RedisVersionText(replaced), ":",
                      RedisVersionText(version), ":", count);
}

RedisReply ReplyOf(const std::string& bytes) {
  RedisReader reader;
  TE_EXPECT_OK(reader.Feed(absl::MakeConstSpan(
      reinterpret_cast<const std::byte*>(bytes.data()), bytes.size())));
  auto reply = reader.Next();
  TE_EXPECT_OK(reply);
  return *std::move(reply);
}

std::string Bulk(const std::string& text) {
  return absl::StrCat("$", text.size(), "\r\n", text, "\r\n");
}

TEST(RedisHeadTest, ReadsWhatScriptsWrite) {
  EXPECT_EQ(
      RedisHead::Parse(Head(3, 1'800'000'000'000'000, "8192")),
      (RedisHead{
          .replaced = 3, .version = 1'800'000'000'000'000, .count = 8192}));
  EXPECT_EQ(RedisHead::Parse(Head(3, 3, "0")),
            (RedisHead{.replaced = 3, .version = 3, .count = 0}));
}

TEST(RedisHeadTest, ReadsNothingElse) {
  const std::string good = Head(3, 4, "1");
  for (const std::string& bad :
       {std::string(), std::string("te1:"), good.substr(1), " " + good,
        good + " ", good + "x", Head(0, 4, "1"), Head(4, 3, "1"),
        Head(3, 4, "8193"), Head(3, 4, "-1"), Head(3, 4, "+1"), Head(3, 4, ""),
        Head(3, 4, "00001"), Head(3, 4, "18446744073709551617"),
        absl::StrCat("te1:", std::string(20, '9'), ":", std::string(20, '9'),
                     ":1")}) {
    EXPECT_EQ(RedisHead::Parse(bad), std::nullopt) << bad;
  }
}

TEST(RedisValueTest, AFirstPartIsAllOrNot) {
  const auto read = [](const std::string& bytes) {
    return ReadRedisFirstPart("k", *ReplyOf(bytes));
  };
  EXPECT_THAT(read("*2\r\n" + Bulk(Head(3, 4, "1")) + Bulk("x")),
              IsOkAndHolds(StoredValue{.version = 4, .parts = {{0, "x"}}}));
  EXPECT_THAT(read("*2\r\n" + Bulk(Head(3, 4, "1")) + Bulk("")),
              IsOkAndHolds(StoredValue{.version = 4, .parts = {}}));
  EXPECT_THAT(read("*2\r\n" + Bulk(Head(3, 4, "0")) + "$-1\r\n"),
              IsOkAndHolds(StoredValue{.version = 4, .parts = {}}));
  EXPECT_THAT(read("*2\r\n" + Bulk(Head(3, 4, "2")) + Bulk("x")),
              IsOkAndHolds(std::nullopt));
  EXPECT_THAT(read("*2\r\n$-1\r\n$-1\r\n"), IsOkAndHolds(std::nullopt));
  for (const std::string& bad :
       {std::string("+OK\r\n"), std::string("*0\r\n"),
        std::string("*2\r\n:1\r\n:1\r\n"),
        "*3\r\n" + Bulk(Head(3, 4, "1")) + Bulk("x") + Bulk("x")}) {
    EXPECT_THAT(read(bad),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'k'")));
  }
}

TEST(RedisValueTest, ReadsParts) {
  const auto read = [](const std::string& bytes, const GetOptions& options) {
    return ReadRedisParts("k", *ReplyOf(bytes), options);
  };
  const std::string head = Bulk(Head(3, 5, "9"));
  EXPECT_THAT(read("*4\r\n" + head + ":7\r\n:2\r\n" + Bulk("x"), {}),
              IsOkAndHolds(StoredValue{
                  .version = 5, .parts = {{2, "x"}}, .next_part = 7}));
  EXPECT_THAT(
      read("*2\r\n" + head + ":0\r\n", {.since = 4}),
      IsOkAndHolds(StoredValue{.version = 5, .parts = {}, .whole = false}));
  EXPECT_THAT(read("$-1\r\n", {}), StatusIs(absl::StatusCode::kNotFound));
  for (const std::string& bad : {
           std::string("+OK\r\n"),
           "*1\r\n" + head,
           "*3\r\n" + head + ":0\r\n:2\r\n",
           std::string("*2\r\n:1\r\n:0\r\n"),
           "*2\r\n" + head + "$-1\r\n",
           // Parts out of order, or of numbers that there are not.
           "*6\r\n" + head + ":0\r\n:2\r\n" + Bulk("x") + ":2\r\n" + Bulk("y"),
           "*4\r\n" + head + ":0\r\n:9\r\n" + Bulk("x"),
           "*4\r\n" + head + ":0\r\n:-1\r\n" + Bulk("x"),
           "*4\r\n" + head + ":0\r\n:1\r\n:1\r\n",
           // Nobody would get to the end of these.
           "*2\r\n" + head + ":3\r\n",
           "*4\r\n" + head + ":1\r\n:1\r\n" + Bulk("x"),
           "*4\r\n" + head + ":9\r\n:1\r\n" + Bulk("x"),
           "*4\r\n" + head + ":-4294967295\r\n:1\r\n" + Bulk("x"),
       }) {
    EXPECT_THAT(read(bad, {}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'k'")));
  }
}

TEST(RedisReaderTest, TakesNoMoreThanWasAskedFor) {
  RedisReader reader;
  const std::string large = "*1000000000\r\n";
  TE_ASSERT_OK(reader.Feed(absl::MakeConstSpan(
      reinterpret_cast<const std::byte*>(large.data()), large.size())));
  EXPECT_THAT(reader.Next(), StatusIs(absl::StatusCode::kDataLoss));

  // Elements without end, each of which is short.
  RedisReader other;
  const std::string some(1 << 20, 'x');
  absl::Status status;
  std::string next = "*30000\r\n";
  for (int i = 0; i < 30 && status.ok(); ++i) {
    TE_ASSERT_OK(other.Feed(absl::MakeConstSpan(
        reinterpret_cast<const std::byte*>(next.data()), next.size())));
    status = other.Next().status();
    next = Bulk(some);
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace te
