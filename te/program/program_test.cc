#include "te/program/program.h"

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gflags/gflags.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

DEFINE_int64(first, 1, "the first of two");
DEFINE_int64(second, 2, "the second of two");

namespace te::program {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::CaptureStdout;
using testing::internal::GetCapturedStderr;
using testing::internal::GetCapturedStdout;

constexpr const char* kFlags[] = {"second", "first"};
constexpr Description kProgram = {.name = "example",
                                  .introduction = "example shows it.\n",
                                  .flags = kFlags,
                                  .source = "te/program/program_test.cc"};

int works = 0;

absl::Status Succeed() {
  ++works;
  return absl::OkStatus();
}
absl::Status FindNothing() { return absl::NotFoundError("nothing there"); }
absl::Status DislikeFlags() { return absl::InvalidArgumentError("--first: 7"); }
absl::Status Repeat(const std::vector<std::string>& words) {
  for (const std::string& word : words) std::cout << word << ";";
  return absl::OkStatus();
}

struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string error;
};

class ProgramTest : public testing::Test {
 protected:
  void SetUp() override { works = 0; }

  template <typename Work>
  static Outcome RunWith(std::vector<std::string> arguments, Work work) {
    arguments.insert(arguments.begin(), "/usr/bin/example");
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    const gflags::FlagSaver saver;
    Outcome outcome;
    CaptureStdout();
    CaptureStderr();
    outcome.exit_status = program::Run(kProgram, pointers, work);
    outcome.out = GetCapturedStdout();
    outcome.error = GetCapturedStderr();
    return outcome;
  }
};

TEST_F(ProgramTest, WorksWithFlagsThatAreSet) {
  const Outcome outcome = RunWith(
      {"--first=7", "--second", "8"}, +[] {
        return FLAGS_first == 7 && FLAGS_second == 8 ? Succeed()
                                                     : FindNothing();
      });
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(works, 1);
}

TEST_F(ProgramTest, SaysWhatFailed) {
  const Outcome outcome = RunWith({}, FindNothing);
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_EQ(outcome.error, "example: nothing there\n");
}

TEST_F(ProgramTest, ABadFlagHasAnExitStatusOfItsOwn) {
  EXPECT_EQ(RunWith({}, DislikeFlags).exit_status, 2);
  for (const char* bad : {"--third", "--first=x", "word"}) {
    const Outcome outcome = RunWith({bad}, Succeed);
    EXPECT_EQ(outcome.exit_status, 2) << bad;
    EXPECT_THAT(outcome.error, testing::StartsWith("example: ")) << bad;
  }
  EXPECT_EQ(works, 0);
}

TEST_F(ProgramTest, PassesWordsOnToThoseThatTakeThem) {
  const Outcome outcome = RunWith({"a", "--first=7", "b"}, Repeat);
  EXPECT_EQ(outcome.exit_status, 0) << outcome.error;
  EXPECT_EQ(outcome.out, "a;b;");
  EXPECT_EQ(RunWith({"a", "--third"}, Repeat).exit_status, 2);
  EXPECT_THAT(RunWith({"a", "--help"}, Repeat).out,
              testing::StartsWith("example shows it.\n"));
}

TEST_F(ProgramTest, HelpsInPlaceOfWork) {
  const Outcome outcome = RunWith({"--help"}, Succeed);
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_EQ(works, 0);
  EXPECT_EQ(outcome.out,
            "example shows it.\n\nFlags:\n"
            "  --second=2\n      the second of two\n"
            "  --first=1\n      the first of two\n");
  EXPECT_EQ(RunWith({"--nohelp"}, Succeed).exit_status, 0);
  EXPECT_EQ(works, 1);
}

}  // namespace
}  // namespace te::program
