#include "te/program/text_file.h"

#include <fstream>
#include <string>

#include "absl/status/status.h"
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

}  // namespace
}  // namespace te::program
