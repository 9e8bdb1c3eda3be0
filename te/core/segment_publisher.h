#ifndef TE_CORE_SEGMENT_PUBLISHER_H_
#define TE_CORE_SEGMENT_PUBLISHER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/core/lease_keeper.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"

namespace te {

// Makes an engine's segment found, from Publish to Withdraw. Thread-safe.
class SegmentPublisher {
 public:
  // `describe` returns the segment as it is, with that name and incarnation,
  // and with version(). `call_time` bounds each call. The resolver is borrowed.
  SegmentPublisher(SegmentResolver& resolver, std::string name,
                   const Incarnation& incarnation,
                   std::function<SegmentDescriptor()> describe,
                   Duration call_time);

  // Publishes what has changed, unless another thread's call does so, or
  // lookups ask the engine itself.
  absl::Status Publish();
  // From now on, renews the publication if it has a lease, and makes it again
  // if the store loses it.
  absl::Status KeepAlive();
  // Ends that, and takes back what was or may have been published. A failure is
  // logged.
  void Withdraw(MonotonicTime deadline);

  // Of the descriptor; grows with each call of Publish.
  uint64_t version() const { return version_; }

 private:
  absl::Status AwaitTurn(MonotonicTime deadline);
  void EndTurn();
  bool IsDone(uint64_t version);
  absl::Status Renew(Duration call_time);

  SegmentResolver& resolver_;
  const std::string name_;
  const Incarnation incarnation_;
  const std::function<SegmentDescriptor()> describe_;
  const Duration call_time_;
  std::atomic<uint64_t> version_{0};

  Mutex mutex_;
  CondVar turn_ended_;
  // A thread is calling the resolver, which others wait for, so that versions
  // appear in order.
  bool publishing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t published_version_ ABSL_GUARDED_BY(mutex_) = 0;
  // A call may have published something, whatever it returned.
  bool withdraw_due_ ABSL_GUARDED_BY(mutex_) = false;

  // Null where publications last by themselves.
  std::unique_ptr<LeaseKeeper> lease_;
};

}  // namespace te

#endif  // TE_CORE_SEGMENT_PUBLISHER_H_
