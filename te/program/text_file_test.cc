#include "te/program/text_file.h"

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::program {
namespace {

using ::testing::HasSubstr;

TEST(TextFileTest, ReadsAllOfIt) {
  const std::string path = testing::TempDir() + "/text";
  const std::string text(200'000, 'x');
  std::ofstream(path) << text;
  EXPECT_THAT(ReadTextFile(path, text.size()), IsOkAndHolds(text));
  EXPECT_THAT(ReadTextFile(path, text.size() - 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 199999 bytes")));
}

TEST(TextFileTest, NamesWhatItCannotRead) {
  EXPECT_THAT(
      ReadTextFile("/nonexistent/matrix", 1),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/matrix")));
  EXPECT_THAT(ReadTextFile("/proc", 1).status().message(),
              HasSubstr("read /proc"));
}

TEST(TextFileTest, WritesAllOfIt) {
  const std::string path = testing::TempDir() + "/written";
  const std::string text(200'000, 'x');
  for (const std::string& written : {text, std::string("short")}) {
    TE_EXPECT_OK(WriteTextFile(path, written));
    EXPECT_THAT(ReadTextFile(path, text.size()), IsOkAndHolds(written));
  }
}

TEST(TextFileTest, NamesWhatItCannotWrite) {
  EXPECT_THAT(
      WriteTextFile("/nonexistent/picture", "x"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/picture")));
  EXPECT_THAT(WriteTextFile("/dev/full", "x").message(),
              HasSubstr("write /dev/full"));
}

}  // namespace
}  // namespace te::program
