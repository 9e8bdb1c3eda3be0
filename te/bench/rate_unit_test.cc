#include "te/bench/rate_unit.h"

#include <map>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::bench {
namespace {

TEST(RateUnitTest, KnowsAllUnits) {
  const std::map<std::string, double> per_second = {
      {"GB", 8},       {"GiB", 7.450581}, {"Gb", 64},
      {"MB", 8000},    {"MiB", 7629.395}, {"Mb", 64000},
      {"KB", 8000000}, {"KiB", 7812500},  {"Kb", 64000000}};
  for (const auto& [name, rate] : per_second) {
    TE_ASSERT_OK_AND_ASSIGN(const RateUnit unit, RateUnit::Parse(name));
    EXPECT_EQ(unit.name, name);
    EXPECT_NEAR(unit.Rate(16'000'000'000, 2), rate, rate * 1e-6) << name;
  }
}

TEST(RateUnitTest, RejectsOthers) {
  for (const char* name : {"", "gb", "GBit", "TB", "B"}) {
    EXPECT_THAT(RateUnit::Parse(name),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         testing::HasSubstr("GB|GiB|Gb")));
  }
}

TEST(RateUnitTest, NothingInNoTimeIsZero) {
  EXPECT_EQ(RateUnit().Rate(100, 0), 0);
}

}  // namespace
}  // namespace te::bench
