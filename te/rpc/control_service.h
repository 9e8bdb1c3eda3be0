#ifndef TE_RPC_CONTROL_SERVICE_H_
#define TE_RPC_CONTROL_SERVICE_H_

#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/rpc/control.grpc.pb.h"
#include "te/rpc/control.pb.h"
#include "te/rpc/control_handler.h"

namespace te {

// The gRPC side of a ControlHandler: checks requests, which may hold anything,
// and converts them. Owned by the ControlServer. Thread-safe.
class ControlService final : public control::v1::Control::Service {
 public:
  // `handler` is borrowed. A call without a deadline gets `max_call_time`, and
  // none gets more.
  ControlService(const Incarnation& incarnation, Duration max_call_time,
                 ControlHandler& handler)
      : incarnation_(incarnation),
        max_call_time_(max_call_time),
        handler_(handler) {}

  grpc::Status GetSegment(grpc::ServerContext* context,
                          const control::v1::GetSegmentRequest* request,
                          control::v1::GetSegmentResponse* response) override;
  grpc::Status Handshake(grpc::ServerContext* context,
                         const control::v1::HandshakeRequest* request,
                         control::v1::HandshakeResponse* response) override;
  grpc::Status Notify(grpc::ServerContext* context,
                      const control::v1::NotifyRequest* request,
                      control::v1::NotifyResponse* response) override;

 private:
  MonotonicTime DeadlineOf(const grpc::ServerContext& context) const;

  const Incarnation incarnation_;
  const Duration max_call_time_;
  ControlHandler& handler_;
};

}  // namespace te

#endif  // TE_RPC_CONTROL_SERVICE_H_
