// What it costs to look at a remote segment, and at a change of it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "benchmark/benchmark.h"
#include "te/core/segment_view.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/slice.h"

namespace te {
namespace {

constexpr uint64_t kLength = 1 << 20;

// In an order that is not that of their addresses.
std::shared_ptr<SegmentDescriptor> Descriptor(size_t buffers) {
  auto descriptor = std::make_shared<SegmentDescriptor>();
  for (size_t begin = 0; begin < buffers; begin += BufferTable::kPageBuffers) {
    auto page = std::make_shared<BufferTable::Page>();
    const size_t end = std::min(begin + BufferTable::kPageBuffers, buffers);
    for (size_t i = begin; i < end; ++i) {
      page->push_back({.address = (i * 7919 % buffers + 1) * kLength,
                       .length = kLength,
                       .remote_read = true,
                       .generation = i});
    }
    descriptor->buffers.SetPage(begin / BufferTable::kPageBuffers,
                                std::move(page));
  }
  return descriptor;
}

void BM_Build(benchmark::State& state) {
  const auto descriptor = Descriptor(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::make_unique<SegmentView>(descriptor));
  }
}
BENCHMARK(BM_Build)->Arg(10)->Arg(1000)->Arg(100'000);

// One page of the descriptor is another one.
void BM_Change(benchmark::State& state) {
  const auto descriptor = Descriptor(static_cast<size_t>(state.range(0)));
  const SegmentView before(descriptor);
  const auto changed = std::make_shared<SegmentDescriptor>(*descriptor);
  changed->buffers.SetPage(0, std::make_shared<const BufferTable::Page>(
                                  *descriptor->buffers.page(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::make_unique<SegmentView>(changed, &before));
  }
}
BENCHMARK(BM_Change)->Arg(10)->Arg(1000)->Arg(100'000);

void BM_Find(benchmark::State& state) {
  const auto buffers = static_cast<size_t>(state.range(0));
  const SegmentView view(Descriptor(buffers));
  uint64_t i = 0;
  for (auto _ : state) {
    i = (i + 104729) % buffers;
    benchmark::DoNotOptimize(
        view.Find(Operation::kRead, (i + 1) * kLength, kLength));
  }
}
BENCHMARK(BM_Find)->Arg(10)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace te
