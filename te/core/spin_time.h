#ifndef TE_CORE_SPIN_TIME_H_
#define TE_CORE_SPIN_TIME_H_

#include <algorithm>
#include <atomic>

#include "te/base/clock.h"

namespace te {

// How long those who wait for a peer look for its answers before they sleep.
//
// Who sleeps is woken by another thread, which takes longer than many an
// answer. So it becomes longer as soon as somebody has slept for what looking
// on, for `most` at most, would have found; and `least` again once an answer
// took longer than that. KVM polls likewise before it halts a virtual CPU:
// docs.kernel.org/virt/kvm/halt-polling.html.
//
// Thread-safe, without locks: of two who learn at once, one is heard.
class SpinTime {
 public:
  // Zero as `least`: nobody is to look at all, whatever there is to learn.
  SpinTime(Duration least, Duration most)
      : least_(least),
        most_(least == Duration::zero() ? least : std::max(least, most)),
        time_(least) {}

  // After the last progress.
  Duration get() const { return time_.load(std::memory_order_relaxed); }

  // Somebody slept, for what came so long after the last progress that he saw.
  void Learn(Duration pause) {
    // Twice that: answers do not all take the same time.
    const Duration time = pause > most_ ? least_ : std::min(2 * pause, most_);
    time_.store(std::max(time, least_), std::memory_order_relaxed);
  }

 private:
  const Duration least_;
  const Duration most_;
  std::atomic<Duration> time_;
};

}  // namespace te

#endif  // TE_CORE_SPIN_TIME_H_
