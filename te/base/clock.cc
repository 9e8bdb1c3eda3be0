#include "te/base/clock.h"

#include <chrono>

namespace te {
namespace {

class SteadyClock final : public Clock {
 public:
  MonotonicTime Now() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace

const Clock& RealClock() {
  static const SteadyClock kClock;
  return kClock;
}

MonotonicTime DeadlineAfter(MonotonicTime now, Duration timeout) {
  if (timeout > Duration::zero() && now > kNoDeadline - timeout) {
    return kNoDeadline;
  }
  return now + timeout;
}

Duration TimeUntil(MonotonicTime deadline, MonotonicTime now) {
  if (deadline == kNoDeadline) return Duration::max();
  return deadline > now ? deadline - now : Duration::zero();
}

}  // namespace te
