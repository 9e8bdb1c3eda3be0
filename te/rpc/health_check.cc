#include "te/rpc/health_check.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/rpc/grpc_deadline.h"
#include "te/rpc/status_conversion.h"

namespace te {

// grpc.health.v1 by hand: its request is empty for the server as a whole, and
// the answer's field 1 is 1 when it serves.
absl::StatusOr<bool> CheckHealth(const std::string& address,
                                 MonotonicTime deadline) {
  auto channel =
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(deadline));
  const grpc::Slice empty;
  grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                   grpc::internal::RpcMethod::NORMAL_RPC);
  TE_RETURN_IF_ERROR(
      FromGrpcStatus(grpc::internal::BlockingUnaryCall(
                         channel.get(), method, &context, request, &response),
                     address));
  grpc::Slice slice;
  if (!response.TrySingleSlice(&slice).ok()) {
    return absl::DataLossError("the answer comes in pieces");
  }
  return std::string(slice.begin(), slice.end()) == "\x08\x01";
}

}  // namespace te
