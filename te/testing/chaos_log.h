#ifndef TE_TESTING_CHAOS_LOG_H_
#define TE_TESTING_CHAOS_LOG_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"

namespace te {

// The last actions of many threads, and the first thing that went wrong.
// Thread-safe.
class ChaosLog {
 public:
  template <typename... Args>
  void Note(const Args&... args) {
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        RealClock().Now() - begin_);
    std::string line = absl::StrCat(now.count(), " us: ", args...);
    MutexLock lock(mutex_);
    lines_.push_back(std::move(line));
    if (lines_.size() > kRemembered) lines_.pop_front();
  }

  // What came before the first failure is kept.
  template <typename... Args>
  void Fail(const Args&... args) {
    const std::string what = absl::StrCat(args...);
    Note("FAILED: ", what);
    MutexLock lock(mutex_);
    if (!failure_.empty()) return;
    failure_ = absl::StrCat(what, "; the last actions:\n",
                            absl::StrJoin(lines_, "\n"));
  }
  // Empty if nothing has failed.
  std::string failure() const {
    MutexLock lock(mutex_);
    return failure_;
  }
  bool failed() const {
    MutexLock lock(mutex_);
    return !failure_.empty();
  }

 private:
  static constexpr size_t kRemembered = 200;

  const MonotonicTime begin_ = RealClock().Now();
  mutable Mutex mutex_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  std::string failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_TESTING_CHAOS_LOG_H_
