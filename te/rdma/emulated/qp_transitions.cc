#include "te/rdma/emulated/qp_transitions.h"

#include <cerrno>
#include <chrono>

namespace te::rdma::emulated {
namespace {

constexpr uint32_t kMax24Bits = 0xffffff;  // PSNs and queue pair numbers

struct Transition {
  ibv_qp_state from;
  ibv_qp_state to;
  int required;
  int optional;
};

constexpr int kMovable = IBV_QP_ACCESS_FLAGS | IBV_QP_MIN_RNR_TIMER;

// To RESET and to ERR one comes from everywhere: not in here. SQE is for
// other types of queue pairs. Alternate paths are not supported.
constexpr Transition kTransitions[] = {
    {IBV_QPS_RESET, IBV_QPS_INIT,
     IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, 0},
    {IBV_QPS_INIT, IBV_QPS_INIT, 0,
     IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS},
    {IBV_QPS_INIT, IBV_QPS_RTR,
     IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
     IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX},
    {IBV_QPS_RTR, IBV_QPS_RTS,
     IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
         IBV_QP_MAX_QP_RD_ATOMIC,
     kMovable},
    {IBV_QPS_RTS, IBV_QPS_RTS, 0, kMovable},
    {IBV_QPS_RTS, IBV_QPS_SQD, 0, IBV_QP_EN_SQD_ASYNC_NOTIFY},
    {IBV_QPS_SQD, IBV_QPS_RTS, 0, kMovable},
    {IBV_QPS_SQD, IBV_QPS_SQD, 0,
     kMovable | IBV_QP_PORT | IBV_QP_AV | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
         IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC |
         IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_PKEY_INDEX},
};

}  // namespace

int CheckTransition(ibv_qp_state from, ibv_qp_state to, int mask) {
  const int rest = mask & ~(IBV_QP_STATE | IBV_QP_CUR_STATE);
  if (to == IBV_QPS_RESET || to == IBV_QPS_ERR) {
    return rest == 0 && (mask & IBV_QP_STATE) != 0 ? 0 : EINVAL;
  }
  for (const Transition& transition : kTransitions) {
    if (transition.from != from || transition.to != to) continue;
    if ((rest & transition.required) != transition.required) return EINVAL;
    const int allowed = transition.required | transition.optional;
    return (rest & ~allowed) == 0 ? 0 : EINVAL;
  }
  return EINVAL;
}

int CheckRanges(const ibv_qp_attr& attr, int mask) {
  const auto given = [mask](int flag) { return (mask & flag) != 0; };
  if (given(IBV_QP_PATH_MTU) &&
      (attr.path_mtu < IBV_MTU_256 || attr.path_mtu > IBV_MTU_4096)) {
    return EINVAL;
  }
  if (given(IBV_QP_DEST_QPN) && attr.dest_qp_num > kMax24Bits) return EINVAL;
  if (given(IBV_QP_RQ_PSN) && attr.rq_psn > kMax24Bits) return EINVAL;
  if (given(IBV_QP_SQ_PSN) && attr.sq_psn > kMax24Bits) return EINVAL;
  if (given(IBV_QP_MIN_RNR_TIMER) && attr.min_rnr_timer > 31) return EINVAL;
  if (given(IBV_QP_TIMEOUT) && attr.timeout > 31) return EINVAL;
  if (given(IBV_QP_RETRY_CNT) && attr.retry_cnt > 7) return EINVAL;
  if (given(IBV_QP_RNR_RETRY) && attr.rnr_retry > 7) return EINVAL;
  return 0;
}

Duration AckTimeout(uint8_t timeout) {
  if (timeout == 0) return Duration::max();
  return Duration(int64_t{4096} << timeout);
}

Duration RnrDelay(uint8_t min_rnr_timer) {
  // In units of 10 us.
  static constexpr int kTable[32] = {
      65536, 1,    2,    3,    4,    6,     8,     12,    16,    24,   32,
      48,    64,   96,   128,  192,  256,   384,   512,   768,   1024, 1536,
      2048,  3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152};
  return std::chrono::microseconds(10) * kTable[min_rnr_timer & 31];
}

}  // namespace te::rdma::emulated
