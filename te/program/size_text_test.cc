#include "te/program/size_text.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::program {
namespace {

TEST(ParseSizeTest, ReadsNumbersAndSuffixes) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"0", 0},
      {"1", 1},
      {"65536", 65536},
      {"7B", 7},
      {"64K", 65536},
      {"64k", 65536},
      {"64KB", 65536},
      {"64KiB", 65536},
      {"16M", 16 << 20},
      {"1G", 1 << 30},
      {"2T", uint64_t{2} << 40},
      {"18446744073709551615", UINT64_MAX},
  };
  for (const auto& [text, bytes] : cases) {
    EXPECT_THAT(ParseSize(text), IsOkAndHolds(bytes)) << text;
  }
}

TEST(ParseSizeTest, RejectsEverythingElse) {
  for (const char* text :
       {"", "K", "B", "KiB", "-1", "+1", "1.5K", "1 K", " 1", "1 ", "4X", "4i",
        "4iB", "0x10", "1KK", "18446744073709551616", "16777216T"}) {
    EXPECT_THAT(ParseSize(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         testing::HasSubstr("\"" + std::string(text) + "\"")))
        << text;
  }
}

TEST(FormatSizeTest, TakesTheLargestPrefix) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(1000), "1000 B");
  EXPECT_EQ(FormatSize(4096), "4 KiB");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize(16 << 20), "16 MiB");
  EXPECT_EQ(FormatSize(uint64_t{5000} << 40), "5000 TiB");
}

}  // namespace
}  // namespace te::program
