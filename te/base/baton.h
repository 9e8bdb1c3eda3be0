#ifndef TE_BASE_BATON_H_
#define TE_BASE_BATON_H_

#include <sched.h>

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "glog/logging.h"

namespace te {

// The right to drive something, held by one thread at a time. On the hot path a
// thread that does not get it goes away and leaves its work to the holder; so
// it may be held across non-blocking system calls.
//
// Whoever leaves work first publishes it and then tries the baton; the holder
// first passes the baton and then looks for work. One of the two sees the
// other, because both use sequentially consistent operations.
class ABSL_LOCKABLE Baton {
 public:
  bool TryTake() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    // The load first keeps the cache line shared while others try in vain.
    return !held_.load() && !held_.exchange(true);
  }

  // Waits for the holder: not for the hot path. The holder must not wait for
  // anything in turn.
  void Take() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    while (!TryTake()) sched_yield();
  }

  void Pass() ABSL_UNLOCK_FUNCTION() { held_.store(false); }

  // For functions that only the holder calls, through an interface.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() { DCHECK(held_.load()); }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace te

#endif  // TE_BASE_BATON_H_
