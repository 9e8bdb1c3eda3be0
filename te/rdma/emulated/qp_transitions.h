#ifndef TE_RDMA_EMULATED_QP_TRANSITIONS_H_
#define TE_RDMA_EMULATED_QP_TRANSITIONS_H_

#include <infiniband/verbs.h>

#include <cstdint>

#include "te/base/clock.h"

namespace te::rdma::emulated {

// The rules of man 3 ibv_modify_qp for reliable connected queue pairs, as
// functions of values. The kernel has them as a table (qp_state_table).

// 0 if `mask` has all the attributes that the transition needs and none that it
// does not take, else EINVAL. `from` == `to` is a change of attributes alone.
int CheckTransition(ibv_qp_state from, ibv_qp_state to, int mask);

// 0 if the attributes in `mask` that have a range of their own are in it, else
// EINVAL.
int CheckRanges(const ibv_qp_attr& attr, int mask);

// How long a requester waits for an acknowledgement; InfiniBand specification
// volume 1, 9.7.6.1.3: 4.096 us * 2^timeout. Zero means for ever, and gives
// Duration::max().
Duration AckTimeout(uint8_t timeout);

// How long a requester waits before it retries on a responder that had no
// receive posted; 9.7.5.2.8, table "Encoding for RNR NAK timer field".
Duration RnrDelay(uint8_t min_rnr_timer);

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_QP_TRANSITIONS_H_
