#ifndef TE_RPC_CONTROL_CLIENT_H_
#define TE_RPC_CONTROL_CLIENT_H_

#include <memory>
#include <string>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
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
// failure's sake, so a peer that came back, with another address under its name
// even, is found at once. Thread-safe.
//
// Every call ends by its deadline. Errors keep the peer's code and text,
// prefixed with its address; IsStalePeer tells that it is not the incarnation
// that was asked for. UNAVAILABLE: nobody answers there. NOT_FOUND from the
// resolver: no such host. RESOURCE_EXHAUSTED: no descriptors or threads for
// gRPC. DEADLINE_EXCEEDED: no answer yet, and the peer may or may not have
// acted.
class ControlClient {
 public:
  // `peer` is "host:port", a literal or a name, which is resolved when a
  // connection is made. No I/O. INVALID_ARGUMENT for a malformed address or one
  // without port.
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
  using Stub = control::v1::Control::Stub;
  template <typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                        Response*);

  ControlClient(const HostPort& address, const ControlClientOptions& options)
      : address_(address), peer_(address.ToString()), options_(options) {}

  // `name` is the method's, for messages.
  template <typename Request, typename Response>
  absl::Status Call(const char* name, Method<Request, Response> method,
                    const Request& request, MonotonicTime deadline,
                    Response& response);

  // On the connection as it is, or on a new one.
  absl::StatusOr<std::unique_ptr<Stub>> GetStub(MonotonicTime deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const HostPort address_;  // with a port
  const std::string peer_;
  const ControlClientOptions options_;
  Mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_RPC_CONTROL_CLIENT_H_
