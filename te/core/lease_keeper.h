#ifndef TE_CORE_LEASE_KEEPER_H_
#define TE_CORE_LEASE_KEEPER_H_

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"

namespace te {

// Keeps something published alive, on a thread of its own: a store that does
// not answer delays nothing else. Logs when renewing begins to fail, and when
// it works again.
class LeaseKeeper {
 public:
  // Calls `renew`, which ends by a deadline of its own, three times per lease,
  // and more often while it fails.
  static absl::StatusOr<std::unique_ptr<LeaseKeeper>> Create(
      Duration lease, std::function<absl::Status()> renew);
  // Waits for a call that is under way.
  ~LeaseKeeper();

 private:
  LeaseKeeper(Duration lease, std::function<absl::Status()> renew);
  void Run();
  // Logs what has changed since the last call.
  void Report(const absl::Status& status);

  const Duration period_;
  const std::function<absl::Status()> renew_;
  bool failing_ = false;

  Mutex mutex_;
  CondVar stopped_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace te

#endif  // TE_CORE_LEASE_KEEPER_H_
