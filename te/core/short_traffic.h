#ifndef TE_CORE_SHORT_TRAFFIC_H_
#define TE_CORE_SHORT_TRAFFIC_H_

#include <atomic>
#include <chrono>

#include "te/base/clock.h"

namespace te {

// When short requests were sent last, to any peer: the NICs that they go over
// are shared, so what is under way to one peer holds up those to another. One
// for all schedulers of an engine. Thread-safe.
class ShortTraffic {
 public:
  void Note(MonotonicTime now) {
    // Not each time, so that those who read it keep the cache line.
    if (now - last() >= kGrain) last_.store(now, std::memory_order_relaxed);
  }
  // Whether there were any in the last `time`, which is much longer than a
  // millisecond.
  bool IsAbout(MonotonicTime now, Duration time) const {
    return now - last() < time;
  }

 private:
  static constexpr Duration kGrain = std::chrono::milliseconds(1);

  MonotonicTime last() const { return last_.load(std::memory_order_relaxed); }

  std::atomic<MonotonicTime> last_{MonotonicTime()};
};

}  // namespace te

#endif  // TE_CORE_SHORT_TRAFFIC_H_
