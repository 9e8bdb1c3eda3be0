#include "te/base/incarnation.h"

#include <stdint.h>

#include <vector>

#include "absl/hash/hash.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

TEST(IncarnationTest, RandomOnesDiffer) {
  TE_ASSERT_OK_AND_ASSIGN(Incarnation first, Incarnation::Random());
  TE_ASSERT_OK_AND_ASSIGN(Incarnation second, Incarnation::Random());
  EXPECT_NE(first, second);
  EXPECT_FALSE(first.IsZero());
  EXPECT_TRUE(Incarnation().IsZero());
}

TEST(IncarnationTest, BytesRoundTrip) {
  TE_ASSERT_OK_AND_ASSIGN(Incarnation original, Incarnation::Random());
  TE_ASSERT_OK_AND_ASSIGN(Incarnation copy,
                          Incarnation::FromBytes(original.bytes()));
  EXPECT_EQ(copy, original);
  EXPECT_EQ(absl::HashOf(copy), absl::HashOf(original));
}

TEST(IncarnationTest, PrintsHexadecimal) {
  std::vector<uint8_t> bytes(Incarnation::kBytes, 0);
  bytes[0] = 0xab;
  bytes[15] = 0x01;
  TE_ASSERT_OK_AND_ASSIGN(Incarnation incarnation,
                          Incarnation::FromBytes(bytes));
  EXPECT_EQ(incarnation.ToString(), "ab000000000000000000000000000001");
}

TEST(IncarnationTest, RefusesOtherSizes) {
  for (size_t size : {0, 15, 17}) {
    EXPECT_THAT(Incarnation::FromBytes(std::vector<uint8_t>(size)),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace te
