#include "te/grpc/deadline.h"

#include <stdint.h>

#include "grpc/support/time.h"
#include "te/base/clock.h"

namespace te {

namespace {
constexpr int64_t kNanosPerSecond = 1'000'000'000;
}  // namespace

// gRPC's monotonic clock has an origin of its own, so what carries over is the
// time left.
gpr_timespec ToGrpcDeadline(MonotonicTime deadline) {
  if (deadline == kNoDeadline) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  Duration left = TimeUntil(deadline, RealClock().Now());
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
}

MonotonicTime FromGrpcDeadline(gpr_timespec deadline) {
  gpr_timespec monotonic =
      gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
  gpr_timespec left = gpr_time_sub(monotonic, gpr_now(GPR_CLOCK_MONOTONIC));
  // A century is for ever; it also keeps the product below from overflowing.
  constexpr int64_t kCentury = int64_t{100} * 365 * 24 * 3600;
  if (left.tv_sec >= kCentury) return kNoDeadline;
  if (left.tv_sec < -kCentury) return MonotonicTime();
  return RealClock().Now() +
         Duration(left.tv_sec * kNanosPerSecond + left.tv_nsec);
}

}  // namespace te
