#ifndef TE_RDMA_EMULATED_TIMER_QUEUE_H_
#define TE_RDMA_EMULATED_TIMER_QUEUE_H_

#include <cstdint>
#include <queue>
#include <vector>

#include "te/base/clock.h"

namespace te::rdma::emulated {

// What is to be done when: names of objects, by time, and by the order of
// Add within one time, so that the same calls always give the same order.
// Thread-compatible.
class TimerQueue {
 public:
  struct Timer {
    MonotonicTime due;
    uint64_t id = 0;  // of this timer, never zero; grows from one to the next
    uint64_t object = 0;
  };

  // Returns the timer's id. There is no removal: who changes its mind
  // remembers the id that counts, and ignores others.
  uint64_t Add(MonotonicTime due, uint64_t object) {
    timers_.push({due, ++last_id_, object});
    return last_id_;
  }

  bool empty() const { return timers_.empty(); }

  // The time of the first, or kNoDeadline.
  MonotonicTime next_due() const {
    return timers_.empty() ? kNoDeadline : timers_.top().due;
  }

  // Takes the first if it is due by `now`.
  bool PopDue(MonotonicTime now, Timer* timer) {
    if (timers_.empty() || timers_.top().due > now) return false;
    *timer = timers_.top();
    timers_.pop();
    return true;
  }

 private:
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const {
      return a.due != b.due ? a.due > b.due : a.id > b.id;
    }
  };

  uint64_t last_id_ = 0;
  std::priority_queue<Timer, std::vector<Timer>, Later> timers_;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_TIMER_QUEUE_H_
