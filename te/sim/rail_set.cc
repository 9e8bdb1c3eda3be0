#include "te/sim/rail_set.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/sim/event_queue.h"
#include "te/sim/network.h"
#include "te/sim/rail_policy.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {
namespace {

// As EngineOptions has it by default.
constexpr uint32_t kMaxAttempts = 4;
// While slices wait, their engine looks again that often although nothing has
// happened.
constexpr Duration kPatience = std::chrono::milliseconds(1);

}  // namespace

RailSet::RailSet(uint32_t number, uint32_t initiator, uint32_t peer,
                 std::unique_ptr<RailPolicy> policy, Network& network,
                 EventQueue& events)
    : number_(number),
      initiator_(initiator),
      peer_(peer),
      policy_(std::move(policy)),
      network_(network),
      events_(events),
      queue_pairs_(network.rails()) {}

void RailSet::Submit(SliceList slices) {
  for (Slice* slice = slices.front(); slice != nullptr; slice = slice->next) {
    auto& owned = static_cast<SimSlice&>(*slice);
    owned.initiator = initiator_;
    owned.peer = peer_;
    owned.rail_set = number_;
  }
  policy_->Submit(std::move(slices));
  Pump();
}

void RailSet::Done(SimSlice& slice) {
  policy_->Completed(slice, events_.now());
  slice.owner->Done(slice, absl::OkStatus());
  Pump();
}

void RailSet::Lost(SimSlice& slice) {
  ++lost_;
  policy_->Failed(slice, events_.now());
  if (++slice.attempts < kMaxAttempts) {
    SliceList again;
    again.PushBack(slice);
    policy_->Submit(std::move(again));
  } else {
    slice.owner->Done(slice, absl::UnavailableError("lost too often"));
  }
  Pump();
}

void RailSet::Wake() {
  wake_comes_ = false;
  Pump();
}

void RailSet::SetUsable(size_t rail, bool usable) {
  policy_->SetUsable(rail, usable);
  Pump();
}

void RailSet::Pump() {
  const MonotonicTime now = events_.now();
  while (SimSlice* const slice = policy_->Next(now)) {
    slice->posted_at = now;
    slice->queue_pair = &queue_pairs_[slice->rail];
    network_.Post(*slice);
  }
  if (policy_->waiting() && !wake_comes_) {
    wake_comes_ = true;
    events_.Push(now + kPatience, EventKind::kWake, number_);
  }
}

}  // namespace te::sim
