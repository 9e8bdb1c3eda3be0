#ifndef TE_RPC_FAKE_CONTROL_HANDLER_H_
#define TE_RPC_FAKE_CONTROL_HANDLER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control_handler.h"

namespace te {

// A handler for tests of the control plane: it has one segment, answers a
// handshake with "<transport> got <payload>", and keeps notifications.
// Thread-safe, except that `on_handshake` is set before the server starts.
class FakeControlHandler final : public ControlHandler {
 public:
  FakeControlHandler() {
    descriptor_.name = "fake";
    descriptor_.incarnation = *Incarnation::Random();
    descriptor_.version = 1;
  }

  absl::StatusOr<VersionedSegment> GetSegment(MonotonicTime) override {
    return VersionedSegment{.descriptor = descriptor_, .version = 1};
  }
  absl::StatusOr<std::string> Handshake(const ControlHandshake& handshake,
                                        MonotonicTime deadline) override {
    if (on_handshake) return on_handshake(handshake, deadline);
    return absl::StrCat(handshake.transport, " got ", handshake.payload);
  }
  absl::Status Notify(const ControlNotification& notification,
                      MonotonicTime) override {
    MutexLock lock(mutex_);
    notifications_.push_back(notification);
    return absl::OkStatus();
  }

  const SegmentDescriptor& descriptor() const { return descriptor_; }
  std::vector<ControlNotification> notifications() const {
    MutexLock lock(mutex_);
    return notifications_;
  }

  std::function<absl::StatusOr<std::string>(const ControlHandshake&,
                                            MonotonicTime deadline)>
      on_handshake;

 private:
  SegmentDescriptor descriptor_;
  mutable Mutex mutex_;
  std::vector<ControlNotification> notifications_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_RPC_FAKE_CONTROL_HANDLER_H_
