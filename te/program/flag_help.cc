#include "te/program/flag_help.h"

#include <cstddef>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"

namespace te::program {
namespace {

// Words in lines of at most 80 columns, after an indentation.
std::string Wrap(absl::string_view text) {
  constexpr size_t kWidth = 80;
  constexpr absl::string_view kIndent = "      ";
  std::string result;
  std::string line(kIndent);
  for (absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line.size() + 1 + word.size() > kWidth) {
      absl::StrAppend(&result, line, "\n");
      line = std::string(kIndent);
    }
    absl::StrAppend(&line, line.size() > kIndent.size() ? " " : "", word);
  }
  return absl::StrCat(result, line, "\n");
}

}  // namespace

std::string DescribeFlag(const char* name, absl::string_view defaults_of) {
  gflags::CommandLineFlagInfo info;
  CHECK(gflags::GetCommandLineFlagInfo(name, &info)) << name;
  const bool ours = absl::EndsWith(info.filename, defaults_of);
  return absl::StrCat("  --", info.name,
                      ours && !info.default_value.empty()
                          ? absl::StrCat("=", info.default_value)
                          : "",
                      "\n", Wrap(info.description));
}

}  // namespace te::program
