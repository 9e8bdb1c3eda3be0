#ifndef TE_RPC_CONTROL_CLIENT_H_
#define TE_RPC_CONTROL_CLIENT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/metadata/segment_descriptor.h"
#include "te/rpc/control.grpc.pb.h"
#include "te/rpc/control_handler.h"

namespace te {

struct ControlClientOptions {
  // Of one message, either way. Room for the largest descriptor.
  int max_message_bytes = 17 << 20;
};

// Asks the control server of one peer. It keeps one connection, made by the
// first call and again after a failure: a call never fails for an earlier
// failure's sake, so a peer that came back is found at once. Thread-safe.
//
// Every call ends by its deadline. Errors keep the peer's code and text,
// prefixed with its address; IsStalePeer tells that it is not the incarnation
// that was asked for. UNAVAILABLE: nobody answers there. DEADLINE_EXCEEDED: no
// answer yet, and the peer may or may not have acted.
class ControlClient {
 public:
  // `peer` is "host:port", a literal or a name that gRPC resolves at the first
  // call. No I/O. INVALID_ARGUMENT for a malformed address or one without port.
  static absl::StatusOr<std::unique_ptr<ControlClient>> Create(
      absl::string_view peer, const ControlClientOptions& options = {});

  absl::StatusOr<SegmentDescriptor> GetSegment(MonotonicTime deadline);

  // Carries opaque bytes to a transport of `target`, and returns its answer.
  absl::StatusOr<std::string> Handshake(const Incarnation& target,
                                        const ControlHandshake& handshake,
                                        MonotonicTime deadline);

  // OK when `target` has taken the notification.
  absl::Status Notify(const Incarnation& target,
                      const ControlNotification& notification,
                      MonotonicTime deadline);

  // "host:port", as in messages.
  const std::string& peer() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return peer_;
  }

 private:
  ControlClient(std::string peer, std::string grpc_target,
                const ControlClientOptions& options)
      : peer_(std::move(peer)),
        grpc_target_(std::move(grpc_target)),
        options_(options) {}

  std::unique_ptr<control::v1::Control::Stub> Stub()
      ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string peer_;
  const std::string grpc_target_;
  const ControlClientOptions options_;
  Mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_RPC_CONTROL_CLIENT_H_
