#ifndef TE_RPC_CONTROL_CLIENT_H_
#define TE_RPC_CONTROL_CLIENT_H_

#include <memory>
#include <string>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/grpc/channel.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control.grpc.pb.h"
#include "te/rpc/control_handler.h"

namespace te {

struct ControlClientOptions {
  // Of one message, either way. Room for the largest head of a descriptor.
  int max_message_bytes = 17 << 20;
};

// Asks the control server of one peer, over a GrpcChannel, whose errors those
// of the calls are; IsStalePeer tells that it is not the incarnation that was
// asked for. Thread-safe.
class ControlClient {
 public:
  // `peer` is "host:port", a literal or a name, which is resolved when a
  // connection is made. No I/O. INVALID_ARGUMENT for a malformed address or one
  // without port.
  static absl::StatusOr<std::unique_ptr<ControlClient>> Create(
      absl::string_view peer, const ControlClientOptions& options = {});

  // The peer's segment, in as many calls as its size takes; see ReadSegment for
  // `known`.
  absl::StatusOr<SegmentSnapshot> GetSegment(
      MonotonicTime deadline, const SegmentSnapshot* known = nullptr);

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
  absl::StatusOr<StoredValue> GetParts(const GetOptions& options,
                                       MonotonicTime deadline);

  using Stub = control::v1::Control::Stub;
  template <typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                        Response*);

  ControlClient(const HostPort& address, const ControlClientOptions& options)
      : peer_(address.ToString()),
        channel_("peer " + peer_, {address},
                 {.max_message_bytes = options.max_message_bytes}) {}

  // `name` is the method's, for messages.
  template <typename Request, typename Response>
  absl::Status Call(const char* name, Method<Request, Response> method,
                    const Request& request, MonotonicTime deadline,
                    Response& response);

  const std::string peer_;
  GrpcChannel channel_;
};

}  // namespace te

#endif  // TE_RPC_CONTROL_CLIENT_H_
