#ifndef TE_RDMA_EMULATED_EMULATED_FAULT_H_
#define TE_RDMA_EMULATED_EMULATED_FAULT_H_

#include <infiniband/verbs.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "te/base/clock.h"

namespace te::rdma::emulated {

// A send work request, as a script of faults sees it.
struct WorkRequestInfo {
  // How many came to the head of their send queue before, in the whole fabric.
  uint64_t index = 0;
  std::string_view host;
  std::string_view device;
  uint32_t qp_num = 0;
  uint32_t dest_qp_num = 0;
  uint64_t wr_id = 0;
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  uint64_t length = 0;
  uint64_t remote_addr = 0;
  uint32_t rkey = 0;
};

// When a work request that never completes goes away. Completions of one send
// queue come in order, so those behind it wait as well.
enum class Hang {
  kNo,
  // Once its queue pair is in the error state: flushed with those behind it.
  kUntilError,
  // Never: neither it nor any request behind it on the send queue is flushed.
  // Only to destroy or reset the queue pair makes an end. Its receive queue is
  // flushed.
  kForGood,
};

// What is to happen to one work request. The default: nothing unusual.
struct Fault {
  // Waits as long at the head of its send queue; the rest comes after that.
  Duration delay = Duration::zero();
  // Ends with this status, and takes its queue pair into the error state.
  ibv_wc_status status = IBV_WC_SUCCESS;
  uint32_t vendor_err = 0;
  Hang hang = Hang::kNo;
  // Of a request that fails or hangs: whether it is carried out all the same,
  // as when only the acknowledgement got lost.
  bool carried_out = false;
};

// Called once for each send work request when it comes to the head of its
// queue, with locks of the fabric held: must not call the fabric, its devices
// or any verb.
using FaultScript = std::function<Fault(const WorkRequestInfo&)>;

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_FAULT_H_
