#include "te/sim/scheduler_policy.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "te/base/clock.h"
#include "te/core/rail_scheduler.h"
#include "te/core/short_traffic.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

SchedulerPolicy::SchedulerPolicy(const std::vector<double>& link_rates,
                                 const RailScheduler::Options& options,
                                 std::shared_ptr<ShortTraffic> short_traffic)
    : scheduler_(options, std::move(short_traffic)) {
  for (const double rate : link_rates) {
    scheduler_.AddRail(static_cast<uint64_t>(rate));
  }
}

void SchedulerPolicy::Submit(SliceList slices) {
  queue_.Push(std::move(slices));
}

SimSlice* SchedulerPolicy::Next(MonotonicTime now) {
  if (queue_.empty()) return nullptr;
  const double rate = scheduler_.total_rate(now);
  const Duration time_left =
      rate == 0 ? Duration::zero()
                : Duration(static_cast<int64_t>(
                      static_cast<double>(queue_.bytes()) / rate * 1e9));
  const Slice& front = *queue_.Front(now, time_left);
  const std::optional<size_t> rail =
      scheduler_.Choose({.bytes = front.length,
                         .backlog = queue_.bytes(),
                         .bulk = !queue_.is_urgent()},
                        now);
  if (!rail.has_value()) return nullptr;
  auto& slice = static_cast<SimSlice&>(queue_.Pop());
  slice.rail = static_cast<uint8_t>(*rail);
  slice.mark = scheduler_.Posted(*rail, slice.length, now);
  return &slice;
}

void SchedulerPolicy::Completed(const SimSlice& slice, MonotonicTime now) {
  scheduler_.Completed(slice.rail, slice.length, slice.mark, now);
}

void SchedulerPolicy::Failed(const SimSlice& slice, MonotonicTime now) {
  scheduler_.Failed(slice.rail, slice.length, now);
}

void SchedulerPolicy::SetUsable(size_t rail, bool usable) {
  scheduler_.SetUse(
      rail, usable ? RailScheduler::Use::kFull : RailScheduler::Use::kNone);
  if (usable) scheduler_.Revive(rail);
}

}  // namespace te::sim
