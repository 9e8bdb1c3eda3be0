#include "te/bench/meeting.h"

namespace te::bench {

void Meeting::CountOne() {
  if (--missing_ > 0) return;
  time_ = RealClock().Now();
  complete_.NotifyAll();
}

MonotonicTime Meeting::Arrive() {
  MutexLock lock(mutex_);
  CountOne();
  while (!time_.has_value()) complete_.WaitUntil(mutex_, kNoDeadline);
  return *time_;
}

void Meeting::Excuse() {
  MutexLock lock(mutex_);
  CountOne();
}

std::optional<MonotonicTime> Meeting::time() const {
  MutexLock lock(mutex_);
  return time_;
}

}  // namespace te::bench
