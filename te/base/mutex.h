// std::mutex and std::condition_variable with Clang's thread-safety
// annotations.
//
// absl::Mutex was rejected: Debian's Abseil is not built with ThreadSanitizer,
// so every access it guards would be reported as a race. The std types go
// through pthread functions that the sanitizer intercepts.

#ifndef TE_BASE_MUTEX_H_
#define TE_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "te/base/clock.h"

namespace te {

// Not recursive. Prefer MutexLock to calling Lock and Unlock.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    return mutex_.try_lock();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;

  std::mutex mutex_;
};

// Holds a mutex for a scope.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// A condition variable. Waits may wake spuriously, so callers loop on their
// condition:
//
//   MutexLock lock(mutex_);
//   while (!done_) {
//     if (!done_changed_.WaitUntil(mutex_, deadline)) break;
//   }
class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // Sleeps until notified. Returns false when `deadline` passed first; the
  // condition may hold all the same, so check it once more.
  bool WaitUntil(Mutex& mutex, MonotonicTime deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    bool notified = true;
    if (deadline == kNoDeadline) {
      condition_.wait(lock);
    } else {
      notified =
          condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    }
    lock.release();  // the caller's MutexLock still owns it
    return notified;
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace te

#endif  // TE_BASE_MUTEX_H_
