#include "te/transport/rail_controls.h"

#include <algorithm>
#include <utility>

namespace te {

bool RailShape::IsDown(MonotonicTime now) const {
  if (cut) return true;
  if (flap_period == Duration::zero()) return false;
  return now.time_since_epoch() % flap_period >= flap_period / 2;
}

MonotonicTime RailShape::NextFlap(MonotonicTime now) const {
  if (cut || flap_period == Duration::zero()) return kNoDeadline;
  const Duration half = flap_period / 2;
  const Duration phase = now.time_since_epoch() % flap_period;
  return now + ((phase < half ? half : flap_period) - phase);
}

void RailControls::Change(size_t rail,
                          absl::FunctionRef<void(RailShape&)> change) {
  {
    MutexLock lock(mutex_);
    change(shapes_[rail]);
  }
  Tell();
}

void RailControls::Calm() {
  {
    MutexLock lock(mutex_);
    std::fill(shapes_.begin(), shapes_.end(), RailShape());
  }
  Tell();
}

RailControls::Fate RailControls::NextFate(size_t rail) {
  MutexLock lock(mutex_);
  const RailShape& shape = shapes_[rail];
  Fate fate;
  fate.delay = shape.latency;
  std::uniform_real_distribution<double> probability(0, 1);
  if (shape.jitter > Duration::zero()) {
    fate.delay += std::chrono::duration_cast<Duration>(shape.jitter *
                                                       probability(random_));
  }
  const double draw = probability(random_);
  if (draw < shape.loss) {
    fate.outcome = Fate::Outcome::kLost;
  } else if (draw < shape.loss + shape.lost_acknowledgement) {
    fate.outcome = Fate::Outcome::kUnacknowledged;
  } else if (draw < shape.loss + shape.lost_acknowledgement + shape.stale_key) {
    fate.outcome = Fate::Outcome::kStaleKey;
  }
  return fate;
}

void RailControls::AddListener(std::weak_ptr<RailShapeListener> listener) {
  MutexLock lock(mutex_);
  std::erase_if(listeners_, [](const auto& each) { return each.expired(); });
  listeners_.push_back(std::move(listener));
}

// Without the lock: listeners look at the shapes.
void RailControls::Tell() {
  std::vector<std::weak_ptr<RailShapeListener>> listeners;
  {
    MutexLock lock(mutex_);
    listeners = listeners_;
  }
  for (const auto& weak : listeners) {
    if (const auto listener = weak.lock()) listener->OnShapeChange();
  }
}

}  // namespace te
