// Time as te uses it. Deadlines and waits are points of the monotonic clock
// (CLOCK_MONOTONIC), which neither NTP nor an operator can turn back.

#ifndef TE_BASE_CLOCK_H_
#define TE_BASE_CLOCK_H_

#include <chrono>

namespace te {

using MonotonicTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

// "Wait for ever". Only for waits that something else bounds.
inline constexpr MonotonicTime kNoDeadline = MonotonicTime::max();

// Where a class reads the time, so that tests can turn the clock by hand.
// Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  virtual MonotonicTime Now() const = 0;
};

// The system's monotonic clock. Stateless; lives as long as the process.
const Clock& RealClock();

// now + timeout, which saturates at kNoDeadline instead of overflowing.
MonotonicTime DeadlineAfter(MonotonicTime now, Duration timeout);

// What is left until `deadline`: zero when it is past, Duration::max() for
// kNoDeadline.
Duration TimeUntil(MonotonicTime deadline, MonotonicTime now);

}  // namespace te

#endif  // TE_BASE_CLOCK_H_
