#include "te/grpc/health_check.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/grpc/channel.h"

namespace te {

// grpc.health.v1 by hand: its request is empty for the server as a whole, and
// the answer's field 1 is 1 when it serves.
absl::StatusOr<bool> CheckHealth(const std::string& address,
                                 MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const HostPort host_port, HostPort::Parse(address));
  GrpcChannel channel("peer " + address, {host_port});
  grpc::ByteBuffer response;
  TE_RETURN_IF_ERROR(channel.Call("Check", deadline,
                                  [&](const std::shared_ptr<grpc::Channel>& to,
                                      grpc::ClientContext& context) {
                                    const grpc::Slice empty;
                                    const grpc::ByteBuffer request(&empty, 1);
                                    const grpc::internal::RpcMethod method(
                                        "/grpc.health.v1.Health/Check",
                                        grpc::internal::RpcMethod::NORMAL_RPC);
                                    return grpc::internal::BlockingUnaryCall(
                                        to.get(), method, &context, request,
                                        &response);
                                  }));
  grpc::Slice slice;
  if (!response.TrySingleSlice(&slice).ok()) {
    return absl::DataLossError("the answer comes in pieces");
  }
  return std::string(slice.begin(), slice.end()) == "\x08\x01";
}

}  // namespace te
