#include "te/sim/early_policy.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "te/base/clock.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

EarlyPolicy::EarlyPolicy(Order order, size_t rails, uint64_t window,
                         uint64_t seed)
    : order_(order), window_(window), random_(seed), rails_(rails) {}

size_t EarlyPolicy::Choose() {
  size_t rail = 0;
  for (size_t tried = 0; tried < rails_.size(); ++tried) {
    if (order_ == Order::kRandom && tried == 0) {
      next_rail_ = random_.Below(rails_.size());
    }
    rail = next_rail_;
    next_rail_ = (next_rail_ + 1) % rails_.size();
    if (rails_[rail].usable) break;
  }
  return rail;
}

void EarlyPolicy::Submit(SliceList slices) {
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    const size_t rail = Choose();
    slice.rail = static_cast<uint8_t>(rail);
    rails_[rail].queue.PushBack(slice);
    ++waiting_;
  }
}

SimSlice* EarlyPolicy::Next(MonotonicTime /*now*/) {
  for (size_t tried = 0; tried < rails_.size(); ++tried) {
    Rail& rail = rails_[cursor_];
    cursor_ = (cursor_ + 1) % rails_.size();
    if (!rail.usable || rail.queue.empty()) continue;
    const uint64_t length = rail.queue.front()->length;
    if (rail.in_flight > 0 && rail.in_flight + length > window_) continue;
    rail.in_flight += length;
    --waiting_;
    return static_cast<SimSlice*>(&rail.queue.PopFront());
  }
  return nullptr;
}

void EarlyPolicy::Completed(const SimSlice& slice, MonotonicTime /*now*/) {
  rails_[slice.rail].in_flight -= slice.length;
}

void EarlyPolicy::Failed(const SimSlice& slice, MonotonicTime now) {
  Completed(slice, now);
}

void EarlyPolicy::SetUsable(size_t rail, bool usable) {
  rails_[rail].usable = usable;
  if (usable) return;
  SliceList queue;
  while (!rails_[rail].queue.empty()) {
    queue.PushBack(rails_[rail].queue.PopFront());
    --waiting_;
  }
  Submit(std::move(queue));
}

}  // namespace te::sim
