#ifndef TE_BASE_FAKE_CLOCK_H_
#define TE_BASE_FAKE_CLOCK_H_

#include <atomic>

#include "te/base/clock.h"

namespace te {

// A clock that moves only when a test says so. Starts at an arbitrary point
// that is not zero, as the real one does. Thread-safe. It wakes nobody: a class
// under test that sleeps must be poked by the test.
class FakeClock final : public Clock {
 public:
  MonotonicTime Now() const override {
    return MonotonicTime(Duration(now_ns_.load()));
  }

  void Advance(Duration by) { now_ns_.fetch_add(by.count()); }

 private:
  std::atomic<Duration::rep> now_ns_{1'000'000'000'000};
};

}  // namespace te

#endif  // TE_BASE_FAKE_CLOCK_H_
