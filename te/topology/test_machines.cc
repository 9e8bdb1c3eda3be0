#include "te/topology/test_machines.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/topology/discovery.h"

namespace te {
namespace {

namespace fs = std::filesystem;

void WriteFile(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path);
  file << content << "\n";
  CHECK(file.good()) << path;
}

// "gids/{0..2}" is gids/0, gids/1 and gids/2.
std::vector<std::string> Expand(absl::string_view name) {
  const size_t open = name.find('{');
  if (open == absl::string_view::npos) return {std::string(name)};
  const size_t close = name.find('}', open);
  const std::vector<absl::string_view> bounds = absl::StrSplit(
      name.substr(open + 1, close - open - 1), absl::ByString(".."));
  int first;
  int last;
  CHECK(bounds.size() == 2 && absl::SimpleAtoi(bounds[0], &first) &&
        absl::SimpleAtoi(bounds[1], &last))
      << name;
  std::vector<std::string> names;
  for (int i = first; i <= last; ++i) {
    names.push_back(
        absl::StrCat(name.substr(0, open), i, name.substr(close + 1)));
  }
  return names;
}

std::string MakeTemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "te_sysfs_XXXXXX").string();
  CHECK(mkdtemp(name.data()) != nullptr) << name;
  return name;
}

}  // namespace

std::string ReadTestMachine(absl::string_view file) {
  std::ifstream in(absl::StrCat("te/topology/testdata/machines/", file));
  CHECK(in.good()) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

const Machine& DiscoverTestMachine(absl::string_view name) {
  static std::map<std::string, Machine> known;
  const auto found = known.find(std::string(name));
  if (found != known.end()) return found->second;
  const SysfsCopy sysfs(ReadTestMachine(absl::StrCat(name, ".sysfs")));
  absl::StatusOr<Machine> machine = DiscoverMachine(
      ReadTestMachine(absl::StrCat(name, ".xml")), sysfs.root());
  CHECK(machine.ok()) << machine.status();
  return known.emplace(name, *std::move(machine)).first->second;
}

Machine DiscoverTestMachineByXml(absl::string_view name) {
  absl::StatusOr<Machine> machine =
      DiscoverMachine(ReadTestMachine(absl::StrCat(name, ".xml")), "");
  CHECK(machine.ok()) << machine.status();
  return *std::move(machine);
}

SysfsCopy::SysfsCopy(absl::string_view text) : root_(MakeTemporaryFolder()) {
  Add(text);
}

SysfsCopy::~SysfsCopy() { fs::remove_all(root_); }

void SysfsCopy::Add(absl::string_view text) {
  fs::path folder = root_;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || line[0] == '#') continue;
    if (absl::ConsumePrefix(&line, "[") && absl::ConsumeSuffix(&line, "]")) {
      folder = fs::path(root_) / std::string(line);
      fs::create_directories(folder);
    } else {
      AddLine(folder, line);
    }
  }
}

void SysfsCopy::AddLine(const fs::path& folder, absl::string_view line) {
  if (absl::ConsumeSuffix(&line, "/")) {
    fs::create_directories(folder / std::string(line));
    return;
  }
  const std::pair<std::string, std::string> link =
      absl::StrSplit(line, absl::MaxSplits(" -> ", 1));
  if (!link.second.empty()) {
    fs::create_directories((folder / link.first).parent_path());
    fs::create_symlink(link.second, folder / link.first);
    return;
  }
  const std::pair<std::string, std::string> file =
      absl::StrSplit(line, absl::MaxSplits(" = ", 1));
  for (const std::string& name : Expand(file.first)) {
    WriteFile(folder / name, absl::StrReplaceAll(file.second, {{"\\n", "\n"}}));
  }
}

void SysfsCopy::Remove(absl::string_view path) {
  CHECK_GT(fs::remove_all(fs::path(root_) / std::string(path)), 0U) << path;
}

}  // namespace te
