#include "te/rdma/emulated/qp_transitions.h"

#include <cerrno>
#include <chrono>

#include "gtest/gtest.h"

namespace te::rdma::emulated {
namespace {

// The rules themselves are tested through the verbs: emulated_qp_state_test.cc.

TEST(QpTransitions, TimeoutsDouble) {
  EXPECT_EQ(AckTimeout(0), Duration::max());
  EXPECT_EQ(AckTimeout(1), Duration(8192));
  EXPECT_EQ(AckTimeout(14), Duration(67'108'864));
  EXPECT_EQ(AckTimeout(31), Duration(8'796'093'022'208));
}

TEST(QpTransitions, RnrDelaysAreThoseOfTheTable) {
  EXPECT_EQ(RnrDelay(0), std::chrono::microseconds(655'360));
  EXPECT_EQ(RnrDelay(1), std::chrono::microseconds(10));
  EXPECT_EQ(RnrDelay(12), std::chrono::microseconds(640));
  EXPECT_EQ(RnrDelay(31), std::chrono::microseconds(491'520));
}

TEST(QpTransitions, AttributesThatMayChangeWhileConnected) {
  EXPECT_EQ(CheckTransition(IBV_QPS_RTS, IBV_QPS_RTS, IBV_QP_ACCESS_FLAGS), 0);
  EXPECT_EQ(CheckTransition(IBV_QPS_RTS, IBV_QPS_RTS, IBV_QP_AV), EINVAL);
  EXPECT_EQ(CheckTransition(IBV_QPS_SQD, IBV_QPS_SQD, IBV_QP_AV), 0);
  EXPECT_EQ(CheckTransition(IBV_QPS_INIT, IBV_QPS_INIT, IBV_QP_PORT), 0);
  EXPECT_EQ(CheckTransition(IBV_QPS_ERR, IBV_QPS_ERR, 0), EINVAL);
}

}  // namespace
}  // namespace te::rdma::emulated
