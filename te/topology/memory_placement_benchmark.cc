// What it costs to find out where memory is, and to ask afterwards.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "te/topology/anonymous_mapping.h"
#include "te/topology/memory_placement.h"

namespace te {
namespace {

void Find(benchmark::State& state, const AnonymousMapping& mapping,
          const PlacementOptions& options) {
  const auto bytes = static_cast<uint64_t>(state.range(0));
  MemoryPlacement placement;
  for (auto _ : state) {
    placement = MemoryPlacement::Find(mapping.address(), bytes, options);
    benchmark::DoNotOptimize(placement);
  }
  if (!placement.status().ok()) {
    state.SkipWithError(placement.status().ToString().c_str());
  }
  state.SetItemsProcessed(
      state.iterations() *
      static_cast<int64_t>(bytes / placement.block_bytes()));
}

// Of small pages.
void BM_FindTouched(benchmark::State& state) {
  const AnonymousMapping mapping(static_cast<size_t>(state.range(0)));
  memset(mapping.data(), 1, static_cast<size_t>(state.range(0)));
  Find(state, mapping, {});
}
BENCHMARK(BM_FindTouched)
    ->Arg(4 << 10)
    ->Arg(1 << 20)
    ->Arg(256 << 20)
    ->Arg(1 << 30)
    ->Arg(int64_t{4} << 30)
    ->Unit(benchmark::kMicrosecond);

void BM_FindTouchedWithoutBound(benchmark::State& state) {
  const AnonymousMapping mapping(static_cast<size_t>(state.range(0)));
  memset(mapping.data(), 1, static_cast<size_t>(state.range(0)));
  PlacementOptions options;
  options.max_pages = SIZE_MAX;
  Find(state, mapping, options);
}
BENCHMARK(BM_FindTouchedWithoutBound)
    ->Arg(1 << 30)
    ->Arg(int64_t{4} << 30)
    ->Unit(benchmark::kMicrosecond);

void BM_FindUntouched(benchmark::State& state) {
  const AnonymousMapping mapping(static_cast<size_t>(state.range(0)));
  Find(state, mapping, {});
}
BENCHMARK(BM_FindUntouched)
    ->Arg(256 << 20)
    ->Arg(int64_t{512} << 30)
    ->Unit(benchmark::kMicrosecond);

// A slice of a buffer whose pages lie on two nodes in turn, the worst there is.
void BM_Of(benchmark::State& state) {
  PlacementOptions options;
  options.find_page_nodes = [](absl::Span<void* const> pages,
                               absl::Span<int> nodes) {
    for (size_t i = 0; i < pages.size(); ++i)
      nodes[i] = static_cast<int>(i % 2);
    return absl::OkStatus();
  };
  constexpr uint64_t kBytes = uint64_t{512} << 30;
  constexpr uint64_t kSlice = 256 << 10;
  const MemoryPlacement placement =
      MemoryPlacement::Find(uint64_t{1} << 44, kBytes, options);
  uint64_t slice = 0;
  for (auto _ : state) {
    slice = (slice + 104729) % (kBytes / kSlice);
    benchmark::DoNotOptimize(placement.Of(slice * kSlice, kSlice));
  }
}
BENCHMARK(BM_Of);

}  // namespace
}  // namespace te
