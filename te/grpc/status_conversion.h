#ifndef TE_GRPC_STATUS_CONVERSION_H_
#define TE_GRPC_STATUS_CONVERSION_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace te {

// The status as it goes over the network: code, message (its first 2 KiB: gRPC
// puts it into a header of bounded size) and the mark of a stale peer, or one
// that it is te that says so where gRPC itself might. Other payloads stay here.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The code of this number, such as a message may carry; UNKNOWN if there is
// none.
grpc::StatusCode ToGrpcCode(int code);

// The status of a call to `server` ("peer host:port"): the code and the mark
// are kept, the message is prefixed with the server and, where nobody answered,
// followed by what to check. The server's bytes may be anything.
absl::Status FromGrpcStatus(const grpc::Status& status,
                            absl::string_view server);

}  // namespace te

#endif  // TE_GRPC_STATUS_CONVERSION_H_
