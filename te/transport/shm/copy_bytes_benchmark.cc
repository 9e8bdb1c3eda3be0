// The ways of copying: the same memory again and again, and through memory that
// no cache holds. Of memory as two processes share it.
//
//   bazel run -c opt //te/transport/shm:copy_bytes_benchmark --
//       --benchmark_repetitions=7 --benchmark_enable_random_interleaving

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "te/transport/shm/copy_bytes.h"

namespace te::shm {
namespace {

constexpr uint64_t kMuch = 1 << 30;

// As large as that; null if there is not so much.
std::byte* MapShared() {
  void* const at = mmap(nullptr, kMuch, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  memset(at, 1, kMuch);
  return static_cast<std::byte*>(at);
}

struct Memory {
  std::byte* source = MapShared();
  std::byte* target = MapShared();
};

// Blocks of `block` bytes, in turn through `buffer` bytes.
void BM_Copy(benchmark::State& state, CopyWay way, uint64_t block,
             uint64_t buffer) {
  static const Memory memory;
  if (memory.source == nullptr || memory.target == nullptr) {
    state.SkipWithError("2 GiB of memory are needed");
    return;
  }
  uint64_t at = 0;
  for (auto _ : state) {
    CopyBy(way, memory.target + at, memory.source + at, block);
    at = at + 2 * block > buffer ? 0 : at + block;
  }
  state.SetBytesProcessed(static_cast<int64_t>(block) * state.iterations());
}

void Register() {
  for (const uint64_t buffer : {uint64_t{0}, kMuch}) {
    for (const uint64_t block :
         {4 << 10, 64 << 10, 1 << 20, 2 << 20, 16 << 20}) {
      for (const CopyWay way : AvailableWays()) {
        const std::string name =
            absl::StrCat(NameOf(way), "/", block >> 10, "K",
                         buffer == 0 ? "" : " through 1 GiB");
        benchmark::RegisterBenchmark(name.c_str(), BM_Copy, way, block,
                                     std::max(block, buffer));
      }
    }
  }
}

}  // namespace
}  // namespace te::shm

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  te::shm::Register();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
