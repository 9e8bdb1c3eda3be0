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
  // Never destroyed: an engine in a static variable of its program may end
  // later than what was made after it, and its threads still ask for the time.
  union Immortal {
    Immortal() : clock() {}
    ~Immortal() {}
    SteadyClock clock;
  };
  static const Immortal kImmortal;
  return kImmortal.clock;
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
