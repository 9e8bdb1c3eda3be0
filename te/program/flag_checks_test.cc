#include "te/program/flag_checks.h"

#include <chrono>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::program {
namespace {

auto IsBad(const char* text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, text);
}

TEST(FlagChecksTest, RangesHaveTheirEnds) {
  TE_EXPECT_OK(CheckRange("spread", 0, 0, 1e6));
  TE_EXPECT_OK(CheckRange("spread", 1e6, 0, 1e6));
  EXPECT_THAT(CheckRange("spread", -1, 0, 1e6),
              IsBad("--spread: -1 is out of range; it must be from 0 to "
                    "1000000"));
  EXPECT_THAT(CheckRange("spread", 1000001, 0, 1e6),
              IsBad("--spread: 1000001 is out of range; it must be from 0 to "
                    "1000000"));
  EXPECT_THAT(
      CheckRange("spread", std::numeric_limits<double>::quiet_NaN(), 0, 1),
      IsBad("--spread: nan is out of range; it must be from 0 to 1"));
}

TEST(FlagChecksTest, IntsAreNotCutOff) {
  EXPECT_THAT(IntFlag("port", 65535, 0, 65535), IsOkAndHolds(65535));
  EXPECT_THAT(IntFlag("port", int64_t{1} << 32, 0, 65535),
              IsBad("--port: 4294967296 is out of range; it must be from 0 to "
                    "65535"));
  EXPECT_THAT(IntFlag("port", std::numeric_limits<int64_t>::max(), 0, 65535),
              IsBad("--port: 9223372036854775807 is out of range; it must be "
                    "from 0 to 65535"));
}

TEST(FlagChecksTest, SizesAreSaidAsTheyWereGiven) {
  EXPECT_THAT(SizeFlag("block_size", "64K", 1, 1 << 20),
              IsOkAndHolds(uint64_t{65536}));
  EXPECT_THAT(SizeFlag("block_size", "2M", 1, 1 << 20),
              IsBad("--block_size: 2M is out of range; it must be from 1 to "
                    "1048576 bytes"));
  EXPECT_THAT(SizeFlag("block_size", "much", 1, 1 << 20),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::StartsWith("--block_size: ")));
}

TEST(FlagChecksTest, SecondsBecomeTime) {
  EXPECT_THAT(SecondsFlag("duration", 0.25),
              IsOkAndHolds(Duration(std::chrono::milliseconds(250))));
  EXPECT_THAT(SecondsFlag("duration", 0),
              IsBad("--duration: 0 is out of range; it must be from 0.001 to "
                    "1000000"));
  EXPECT_THAT(SecondsFlag("drain", 0, 0, 3600), IsOkAndHolds(Duration::zero()));
  EXPECT_THAT(SecondsFlag("drain", 1e300, 0, 3600),
              IsBad("--drain: 1e+300 is out of range; it must be from 0 to "
                    "3600"));
}

TEST(FlagChecksTest, MicrosecondsBecomeTime) {
  EXPECT_THAT(MicrosecondsFlag("spin_us", 2.5),
              IsOkAndHolds(Duration(std::chrono::nanoseconds(2500))));
  EXPECT_THAT(MicrosecondsFlag("spin_us", -1),
              IsBad("--spin_us: -1 is out of range; it must be from 0 to "
                    "1000000"));
}

TEST(FlagChecksTest, AnErrorKeepsItsCode) {
  EXPECT_THAT(
      WithFlag("metadata_server", absl::UnavailableError("is down")),
      StatusIs(absl::StatusCode::kUnavailable, "--metadata_server: is down"));
  TE_EXPECT_OK(WithFlag("metadata_server", absl::OkStatus()));
}

}  // namespace
}  // namespace te::program
