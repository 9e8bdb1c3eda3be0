#ifndef TE_GRPC_DEADLINE_H_
#define TE_GRPC_DEADLINE_H_

#include "grpc/support/time.h"
#include "te/base/clock.h"

namespace te {

// Between te's deadlines and gRPC's, on the monotonic clock in both.
// kNoDeadline is gRPC's infinite future. Thread-safe.
gpr_timespec ToGrpcDeadline(MonotonicTime deadline);
MonotonicTime FromGrpcDeadline(gpr_timespec deadline);

}  // namespace te

#endif  // TE_GRPC_DEADLINE_H_
