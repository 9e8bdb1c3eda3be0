#include "te/bench/help.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/bench/flags.h"

namespace te::bench {
namespace {

TEST(HelpTest, TellsOfEveryFlag) {
  ASSERT_FALSE(HelpWanted());  // links the flags
  const std::string help = HelpText();
  std::vector<gflags::CommandLineFlagInfo> flags;
  gflags::GetAllFlags(&flags);
  int ours = 0;
  for (const gflags::CommandLineFlagInfo& flag : flags) {
    if (!absl::EndsWith(flag.filename, "te/bench/flags.cc")) continue;
    EXPECT_THAT(help, testing::HasSubstr("  --" + flag.name));
    ++ours;
  }
  EXPECT_GT(ours, 20);
}

TEST(HelpTest, FitsIntoEightyColumns) {
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(HelpText(), '\n'))) {
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(HelpTest, HasTheFlagsOfEachTransportInAGroup) {
  EXPECT_THAT(HelpText(),
              testing::ContainsRegex("\nTCP:\n  --tcp_streams=[^:]*\n"));
  EXPECT_THAT(HelpText(), testing::HasSubstr("\nRDMA:\n  --ib_port=0\n"));
}

TEST(HelpTest, ListsTheEnvironment) {
  EXPECT_THAT(HelpText(), testing::HasSubstr("MC_TRANSFER_TIMEOUT"));
}

}  // namespace
}  // namespace te::bench
