// The main function of fuzz tests that are not linked with libFuzzer:
//
//   replay_main [--seed=N] [--seconds=S] [--runs=N] [FILE | DIRECTORY]...
//
// Calls the target with each file, then with mutations of them until S seconds
// (2) have passed or N runs (100,000) are done. The target reports an error by
// ending the process, or by a sanitizer that does.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tools/fuzz/mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace te {
namespace {

constexpr size_t kMaxInputSize = 4096;

struct Options {
  uint64_t seed = std::random_device()();
  uint64_t seconds = 2;
  uint64_t runs = 100'000;
  std::vector<std::filesystem::path> files;
};

// True, and `value` set, when `arg` is `--name=` and a number.
bool ParseNumber(std::string_view arg, std::string_view name, uint64_t& value) {
  const std::string prefix = "--" + std::string(name) + "=";
  if (!arg.starts_with(prefix)) return false;
  value = std::strtoull(arg.data() + prefix.size(), nullptr, 10);
  return true;
}

void AddFiles(const std::filesystem::path& path,
              std::vector<std::filesystem::path>& files) {
  if (!std::filesystem::is_directory(path)) {
    files.push_back(path);
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (!entry.is_directory()) files.push_back(entry.path());
  }
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (ParseNumber(arg, "seed", options.seed) ||
        ParseNumber(arg, "seconds", options.seconds) ||
        ParseNumber(arg, "runs", options.runs)) {
      continue;
    }
    if (arg.starts_with("-")) {
      std::fprintf(stderr, "unknown option %s: see tools/fuzz/replay_main.cc\n",
                   argv[i]);
      std::exit(2);
    }
    AddFiles(arg, options.files);
  }
  // A directory has no order of its own, but a seed must repeat its run.
  std::sort(options.files.begin(), options.files.end());
  return options;
}

void Run(const std::string& input) {
  // A copy on the heap of exactly this size lets ASan see the first byte read
  // past the end; that of a std::string is a readable zero.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::vector<std::string> ReplayFiles(
    const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> corpus;
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      std::exit(1);
    }
    // Printed first, so that the last line before a crash names the file.
    std::printf("file %s\n", path.c_str());
    std::fflush(stdout);
    corpus.emplace_back(std::istreambuf_iterator<char>(file),
                        std::istreambuf_iterator<char>());
    Run(corpus.back());
  }
  return corpus;
}

}  // namespace

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  Mutator mutator(ReplayFiles(options.files), options.seed, kMaxInputSize);
  std::printf("mutations: --seed=%llu\n",
              static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  uint64_t runs = 0;
  while (runs < options.runs && std::chrono::steady_clock::now() < end) {
    Run(mutator.Next());
    ++runs;
  }
  std::printf("%zu files, %llu mutations\n", options.files.size(),
              static_cast<unsigned long long>(runs));
  return 0;
}

}  // namespace te

int main(int argc, char** argv) { return te::Main(argc, argv); }
