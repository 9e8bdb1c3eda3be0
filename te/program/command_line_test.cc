#include "te/program/command_line.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

DEFINE_string(test_text, "", "");
DEFINE_int64(test_number, 0, "");
DEFINE_bool(test_switch, false, "");

namespace te::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CommandLineTest : public testing::Test {
 protected:
  absl::StatusOr<std::set<std::string>> Parse(
      std::vector<std::string> arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    return ParseCommandLine(pointers);
  }

  gflags::FlagSaver saver_;
};

TEST_F(CommandLineTest, SetsFlagsInEveryForm) {
  EXPECT_THAT(
      Parse({"--test_text=a=b", "-test_number", "-7", "--test_switch"}),
      IsOkAndHolds(ElementsAre("test_number", "test_switch", "test_text")));
  EXPECT_EQ(FLAGS_test_text, "a=b");
  EXPECT_EQ(FLAGS_test_number, -7);
  EXPECT_TRUE(FLAGS_test_switch);
}

TEST_F(CommandLineTest, BoolsCanBeNegated) {
  FLAGS_test_switch = true;
  EXPECT_THAT(Parse({"--notest_switch"}),
              IsOkAndHolds(ElementsAre("test_switch")));
  EXPECT_FALSE(FLAGS_test_switch);
  TE_EXPECT_OK(Parse({"--test_switch=true"}));
  EXPECT_TRUE(FLAGS_test_switch);
}

TEST_F(CommandLineTest, EmptyValuesAreValues) {
  FLAGS_test_text = "x";
  TE_EXPECT_OK(Parse({"--test_text="}));
  EXPECT_EQ(FLAGS_test_text, "");
}

TEST_F(CommandLineTest, WordsMayStandAmongTheFlags) {
  std::vector<std::string> arguments = {"show", "--test_number", "7", "a"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  std::vector<std::string> words;
  TE_EXPECT_OK(ParseCommandLine(pointers, &words));
  EXPECT_THAT(words, ElementsAre("show", "a"));
  EXPECT_EQ(FLAGS_test_number, 7);
}

TEST_F(CommandLineTest, SaysWhatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      // Not the value: it may be a misplaced password.
      {{"--no_such_flag=1"}, "unknown flag \"--no_such_flag\""},
      {{"--version"}, "unknown flag \"--version\""},
      {{"--helpfull=true"}, "unknown flag"},
      {{"--nohelpxml"}, "unknown flag"},
      {{"--flagfile=/nonexistent"}, "unknown flag"},
      {{"--fromenv=test_text"}, "unknown flag"},
      {{"--notest_text"}, "unknown flag \"--notest_text\""},
      {{"--notest_switch=1"}, "unknown flag"},
      {{"words"}, "\"words\" is no flag"},
      {{""}, "no flag"},
      {{"--"}, "unknown flag"},
      {{"--test_text"}, "--test_text: needs a value"},
      {{"--test_number=ten"}, "--test_number: \"ten\" is no whole number"},
      {{"--test_switch=maybe"}, "--test_switch: \"maybe\" is no bool"},
  };
  for (const auto& [arguments, message] : cases) {
    EXPECT_THAT(Parse(arguments), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(message)));
  }
}

}  // namespace
}  // namespace te::program
