#ifndef TE_RDMA_EMULATED_EMULATED_CQ_H_
#define TE_RDMA_EMULATED_EMULATED_CQ_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "te/base/mutex.h"
#include "te/rdma/emulated/event_channel.h"

namespace te::rdma::emulated {

// A completion channel. Owned by its DeviceState. Thread-safe; `refcnt` is
// guarded by the wire's mutex.
struct EmulatedCompChannel : ibv_comp_channel {
  EventChannel<ibv_cq*> events;
};

// A completion queue of a fixed capacity. Owned by its DeviceState.
// Thread-safe; its mutex is taken last, so one may poll while the wire carries
// requests out.
class EmulatedCq : public ibv_cq {
 public:
  // A completion, and what polling it means for the queue it comes from.
  struct Entry {
    ibv_wc wc;
    // The count of work requests whose slots are free again, and its value once
    // this completion has been polled. Also says whose completion it is. It is
    // valid as long as the entry: see Purge.
    std::atomic<uint64_t>* freed = nullptr;
    uint64_t freed_when_polled = 0;
    bool solicited = false;  // as ibv_req_notify_cq(solicited_only) means it
  };

  enum class PushResult {
    kOk,
    kOverrun,  // for the first time: the queue is in error from now on
    kLost,     // it was in error before
  };

  // `channel` may be null.
  EmulatedCq(ibv_context* context, int capacity, void* user_context,
             EmulatedCompChannel* channel);

  PushResult Push(const Entry& entry);
  // What was there before an overrun can still be polled.
  int Poll(int max, ibv_wc* wc);
  void RequestNotify(bool solicited_only);
  // Drops the completions that free slots of `freed`, without freeing them:
  // when a queue pair is destroyed or reset.
  void Purge(const std::atomic<uint64_t>& freed);

  // For pushing several at once: Push under the mutex that the caller holds.
  Mutex& mutex() ABSL_LOCK_RETURNED(mutex_) { return mutex_; }
  PushResult PushLocked(const Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool has_room() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !overrun_ && size_ < ring_.size();
  }

  // How many queues of queue pairs report here. Guarded by the wire's mutex.
  int users = 0;

 private:
  enum class Armed { kNo, kSolicited, kAny };

  Entry& At(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const size_t at = head_ + index;
    return ring_[at < ring_.size() ? at : at - ring_.size()];
  }

  EmulatedCompChannel* const emulated_channel_;
  Mutex mutex_;
  std::vector<Entry> ring_ ABSL_GUARDED_BY(mutex_);
  size_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;
  bool overrun_ ABSL_GUARDED_BY(mutex_) = false;
  Armed armed_ ABSL_GUARDED_BY(mutex_) = Armed::kNo;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_CQ_H_
