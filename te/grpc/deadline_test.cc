#include "te/grpc/deadline.h"

#include <chrono>

#include "grpc/support/time.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"

namespace te {
namespace {

TEST(GrpcDeadlineTest, RoundTrips) {
  MonotonicTime deadline = RealClock().Now() + std::chrono::hours(1);
  MonotonicTime back = FromGrpcDeadline(ToGrpcDeadline(deadline));
  // The two clocks are read one after the other.
  EXPECT_GE(back, deadline - std::chrono::minutes(1));
  EXPECT_LE(back, deadline + std::chrono::minutes(1));
}

TEST(GrpcDeadlineTest, ForeverStaysForever) {
  EXPECT_EQ(FromGrpcDeadline(ToGrpcDeadline(kNoDeadline)), kNoDeadline);
  EXPECT_EQ(FromGrpcDeadline(gpr_inf_future(GPR_CLOCK_REALTIME)), kNoDeadline);
}

TEST(GrpcDeadlineTest, ThePastStaysPast) {
  MonotonicTime back = FromGrpcDeadline(ToGrpcDeadline(MonotonicTime()));
  EXPECT_LE(back, RealClock().Now());
  back = FromGrpcDeadline(gpr_inf_past(GPR_CLOCK_REALTIME));
  EXPECT_LE(back, RealClock().Now());
}

}  // namespace
}  // namespace te
