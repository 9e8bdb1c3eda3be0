#include "te/sim/least_in_flight_policy.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "te/base/clock.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

void LeastInFlightPolicy::Submit(SliceList slices) {
  queue_.Append(std::move(slices));
}

SimSlice* LeastInFlightPolicy::Next(MonotonicTime /*now*/) {
  if (queue_.empty()) return nullptr;
  size_t best = rails_.size();
  for (size_t i = 0; i < rails_.size(); ++i) {
    const size_t rail = (cursor_ + i) % rails_.size();
    if (!rails_[rail].usable) continue;
    if (best == rails_.size() ||
        rails_[rail].in_flight < rails_[best].in_flight) {
      best = rail;
    }
  }
  if (best == rails_.size()) return nullptr;
  Rail& rail = rails_[best];
  const uint64_t length = queue_.front()->length;
  if (rail.in_flight > 0 && rail.in_flight + length > window_) return nullptr;
  cursor_ = (best + 1) % rails_.size();
  rail.in_flight += length;
  auto& slice = static_cast<SimSlice&>(queue_.PopFront());
  slice.rail = static_cast<uint8_t>(best);
  return &slice;
}

void LeastInFlightPolicy::Completed(const SimSlice& slice,
                                    MonotonicTime /*now*/) {
  rails_[slice.rail].in_flight -= slice.length;
}

void LeastInFlightPolicy::Failed(const SimSlice& slice, MonotonicTime now) {
  Completed(slice, now);
}

void LeastInFlightPolicy::SetUsable(size_t rail, bool usable) {
  rails_[rail].usable = usable;
}

}  // namespace te::sim
