#include "te/core/segment_publisher.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te {

SegmentPublisher::SegmentPublisher(SegmentResolver& resolver, std::string name,
                                   const Incarnation& incarnation,
                                   std::function<SegmentDescriptor()> describe,
                                   Duration call_time)
    : resolver_(resolver),
      name_(std::move(name)),
      incarnation_(incarnation),
      describe_(std::move(describe)),
      call_time_(call_time) {}

absl::Status SegmentPublisher::Publish() {
  const MonotonicTime deadline = DeadlineAfter(RealClock().Now(), call_time_);
  const uint64_t version = ++version_;
  TE_RETURN_IF_ERROR(AwaitTurn(deadline));
  const absl::Cleanup end = [this] { EndTurn(); };
  if (IsDone(version)) return absl::OkStatus();
  const SegmentDescriptor descriptor = describe_();
  {
    MutexLock lock(mutex_);
    withdraw_due_ = true;
  }
  TE_RETURN_IF_ERROR(resolver_.Publish(descriptor, deadline));
  MutexLock lock(mutex_);
  published_version_ = descriptor.version;
  return absl::OkStatus();
}

absl::Status SegmentPublisher::AwaitTurn(MonotonicTime deadline) {
  MutexLock lock(mutex_);
  while (publishing_) {
    if (!turn_ended_.WaitUntil(mutex_, deadline) && publishing_) {
      return absl::DeadlineExceededError(
          "another thread is still trying to publish this segment; is the "
          "metadata store all right?");
    }
  }
  publishing_ = true;
  return absl::OkStatus();
}

void SegmentPublisher::EndTurn() {
  MutexLock lock(mutex_);
  publishing_ = false;
  turn_ended_.NotifyAll();
}

bool SegmentPublisher::IsDone(uint64_t version) {
  MutexLock lock(mutex_);
  return published_version_ >= version ||
         (published_version_ > 0 && !resolver_.keeps_descriptors());
}

absl::Status SegmentPublisher::KeepAlive() {
  const Duration lease = resolver_.lease();
  if (lease == Duration::zero()) return absl::OkStatus();
  // So that a store which hangs for a call does not cost the lease.
  const Duration call_time = std::min(call_time_, lease / 6);
  TE_ASSIGN_OR_RETURN(lease_, LeaseKeeper::Create(lease, [this, call_time] {
                        return Renew(call_time);
                      }));
  return absl::OkStatus();
}

absl::Status SegmentPublisher::Renew(Duration call_time) {
  const absl::Status renewed =
      resolver_.Renew(name_, DeadlineAfter(RealClock().Now(), call_time));
  if (!absl::IsNotFound(renewed)) return renewed;
  TE_RETURN_IF_ERROR(Publish());
  LOG(WARNING) << "the metadata store had lost an entry, which was published "
                  "again: "
               << renewed;
  return absl::OkStatus();
}

void SegmentPublisher::Withdraw(MonotonicTime deadline) {
  lease_.reset();
  {
    MutexLock lock(mutex_);
    if (!withdraw_due_) return;
  }
  const absl::Status status = resolver_.Withdraw(name_, incarnation_, deadline);
  LOG_IF(WARNING, !status.ok())
      << "segment " << name_
      << " could not be withdrawn from the metadata store: " << status;
}

}  // namespace te
