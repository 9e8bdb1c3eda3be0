#ifndef TE_RDMA_EMULATED_EVENT_CHANNEL_H_
#define TE_RDMA_EMULATED_EVENT_CHANNEL_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"

namespace te::rdma::emulated {

// Events that a file descriptor makes known, each of an object that must not go
// away before its events are acknowledged: the core of completion channels and
// of asynchronous events. Thread-safe.
template <typename Event>
class EventChannel {
 public:
  // The descriptor is -1 when the process has no more of them.
  EventChannel() : fd_(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)) {}

  // Readable while there are events. The caller may set O_NONBLOCK.
  int fd() const { return fd_.get(); }

  // `source` is a name, and is not looked into. Null: of no object.
  void Push(const void* source, const Event& event) {
    MutexLock lock(mutex_);
    events_.push_back({source, event});
    const uint64_t one = 1;
    PCHECK(write(fd_.get(), &one, sizeof(one)) == sizeof(one));
  }

  // Takes the oldest event, which must be acknowledged. Waits for one unless
  // the descriptor is non-blocking. Returns 0, or -1 with errno.
  int Get(Event* event) {
    while (true) {
      uint64_t one;
      // Each read takes one, because of EFD_SEMAPHORE.
      if (read(fd_.get(), &one, sizeof(one)) != sizeof(one)) return -1;
      MutexLock lock(mutex_);
      CHECK_LT(first_, events_.size());
      const Entry entry = events_[first_++];
      if (first_ == events_.size()) {
        events_.clear();
        first_ = 0;
      }
      if (!entry.event.has_value()) continue;
      if (entry.source != nullptr) ++unacknowledged_[entry.source];
      *event = *entry.event;
      return 0;
    }
  }

  void Acknowledge(const void* source, unsigned int count) {
    if (source == nullptr || count == 0) return;
    MutexLock lock(mutex_);
    const auto found = unacknowledged_.find(source);
    CHECK(found != unacknowledged_.end() && found->second >= count)
        << "more events were acknowledged than fetched";
    found->second -= count;
    if (found->second == 0) acknowledged_.NotifyAll();
  }

  // Waits until all events of the object that were fetched are acknowledged.
  // Returns whether they were in time.
  bool AwaitAcknowledgements(const void* source, MonotonicTime deadline) {
    MutexLock lock(mutex_);
    const auto outstanding = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const auto found = unacknowledged_.find(source);
      return found != unacknowledged_.end() && found->second > 0;
    };
    while (outstanding()) {
      if (!acknowledged_.WaitUntil(mutex_, deadline)) return !outstanding();
    }
    return true;
  }

  // Forgets the events of an object that is about to go away; false, and
  // nothing is forgotten, if some were fetched and not acknowledged. The
  // descriptor may stay readable until the next Get.
  bool Remove(const void* source) {
    MutexLock lock(mutex_);
    const auto found = unacknowledged_.find(source);
    if (found != unacknowledged_.end()) {
      if (found->second > 0) return false;
      unacknowledged_.erase(found);
    }
    for (Entry& entry : events_) {
      if (entry.source == source) entry.event.reset();
    }
    return true;
  }

 private:
  struct Entry {
    const void* source;
    // Empty: removed. Kept so that there are as many as the descriptor counts,
    // which a blocking one does not let us take back.
    std::optional<Event> event;
  };

  const UniqueFd fd_;
  Mutex mutex_;
  CondVar acknowledged_;
  // Both keep their memory, so that events of the same objects again and again
  // allocate nothing. From `first_` on.
  std::vector<Entry> events_ ABSL_GUARDED_BY(mutex_);
  size_t first_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<const void*, unsigned int> unacknowledged_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EVENT_CHANNEL_H_
