// What the choice of a rail costs, with everything that the engine does for it:
// queue, choice, and accounting at both ends.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "te/base/clock.h"
#include "te/core/rail_scheduler.h"
#include "te/core/slice_queue.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te {
namespace {

// Batches of 128 slices of `bytes`, each of which gets a choice of its own; the
// oldest of those that are under way complete when there is no room.
void BM_Schedule(benchmark::State& state) {
  constexpr size_t kBatch = 128;
  const auto rails = static_cast<size_t>(state.range(0));
  const auto bytes = static_cast<uint32_t>(state.range(1));
  RailScheduler scheduler;
  for (size_t i = 0; i < rails; ++i) scheduler.AddRail(50'000'000'000);
  SliceQueue queue;
  std::vector<Slice> slices(kBatch);
  std::deque<Slice*> under_way;
  MonotonicTime now = MonotonicTime() + std::chrono::seconds(100);
  const auto complete = [&](Slice& slice) {
    scheduler.Completed(slice.rail, slice.length,
                        {.since = slice.posted_at,
                         .carried = slice.carried_before,
                         .alone = slice.alone},
                        now);
  };
  for (auto unused : state) {
    SliceList batch;
    for (Slice& slice : slices) {
      slice.length = bytes;
      slice.bulk = true;
      batch.PushBack(slice);
    }
    queue.Push(std::move(batch));
    while (const Slice* next = queue.Front(now, {})) {
      const std::optional<size_t> rail = scheduler.Choose(
          {.bytes = next->length, .backlog = queue.bytes()}, now);
      now += Duration(100);
      if (!rail) {
        complete(*under_way.front());
        under_way.pop_front();
        continue;
      }
      Slice& slice = queue.Pop();
      const RailModel::Mark mark = scheduler.Posted(*rail, slice.length, now);
      slice.rail = static_cast<uint8_t>(*rail);
      slice.posted_at = mark.since;
      slice.carried_before = mark.carried;
      slice.alone = mark.alone;
      under_way.push_back(&slice);
    }
    for (Slice* slice : under_way) complete(*slice);
    under_way.clear();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(BM_Schedule)
    ->ArgNames({"rails", "bytes"})
    ->ArgsProduct({{1, 4, 8}, {4096, 256 << 10}});

}  // namespace
}  // namespace te
