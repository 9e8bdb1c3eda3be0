#include "te/core/lease_keeper.h"

#include <utility>

#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te {

absl::StatusOr<std::unique_ptr<LeaseKeeper>> LeaseKeeper::Create(
    Duration lease, std::function<absl::Status()> renew) {
  std::unique_ptr<LeaseKeeper> keeper(new LeaseKeeper(lease, std::move(renew)));
  TE_ASSIGN_OR_RETURN(
      keeper->thread_,
      Thread::Start({.name = "te-lease"}, [k = keeper.get()] { k->Run(); }));
  return keeper;
}

LeaseKeeper::LeaseKeeper(Duration lease, std::function<absl::Status()> renew)
    : period_(lease / 3), renew_(std::move(renew)) {}

LeaseKeeper::~LeaseKeeper() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    stopped_.NotifyAll();
  }
  thread_.Join();
}

void LeaseKeeper::Run() {
  MonotonicTime next = DeadlineAfter(RealClock().Now(), period_);
  for (;;) {
    {
      MutexLock lock(mutex_);
      while (!stopping_ && stopped_.WaitUntil(mutex_, next)) continue;
      if (stopping_) return;
    }
    const absl::Status status = renew_();
    Report(status);
    next =
        DeadlineAfter(RealClock().Now(), status.ok() ? period_ : period_ / 4);
  }
}

void LeaseKeeper::Report(const absl::Status& status) {
  if (failing_ == !status.ok()) return;
  failing_ = !status.ok();
  if (failing_) {
    LOG(WARNING) << "the entry in the metadata store cannot be renewed, and is "
                    "tried again; transfers go on: "
                 << status;
  } else {
    LOG(INFO) << "the entry in the metadata store is renewed again";
  }
}

}  // namespace te
