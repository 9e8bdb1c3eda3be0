#ifndef TE_RDMA_EMULATED_EMULATED_QP_H_
#define TE_RDMA_EMULATED_EMULATED_QP_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/rdma/emulated/emulated_cq.h"
#include "te/rdma/emulated/emulated_fault.h"

namespace te::rdma::emulated {

struct DeviceState;

// A posted send work request. Its vectors keep their capacity from one use of
// the slot to the next, so that posting allocates nothing.
struct SendWork {
  uint64_t wr_id = 0;
  // How many were posted to the queue up to and with this one.
  uint64_t sequence = 0;
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  unsigned int flags = 0;
  std::vector<ibv_sge> sges;
  std::vector<std::byte> inline_data;  // with IBV_SEND_INLINE, instead of sges
  uint64_t length = 0;
  uint64_t remote_addr = 0;
  uint32_t rkey = 0;

  MonotonicTime due;  // not carried out before
  int losses = 0;
  int not_ready = 0;    // how often the responder had no receive posted
  bool judged = false;  // `fault` is the script's
  Fault fault;
};

struct RecvWork {
  uint64_t wr_id = 0;
  uint64_t sequence = 0;
  std::vector<ibv_sge> sges;
};

// A queue of work of a fixed capacity, whose slots are reused.
template <typename Work>
class WorkRing {
 public:
  explicit WorkRing(size_t capacity) : slots_(capacity) {}

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  Work& front() { return slots_[head_]; }
  // The slot behind the last, with what its former use left. There must be one.
  Work& PushBack() {
    const size_t at = head_ + size_++;
    return slots_[at < slots_.size() ? at : at - slots_.size()];
  }
  void PopFront() {
    head_ = head_ + 1 < slots_.size() ? head_ + 1 : 0;
    --size_;
  }
  void Clear() { size_ = 0; }

 private:
  std::vector<Work> slots_;
  size_t head_ = 0;
  size_t size_ = 0;
};

// A reliable connected queue pair. Owned by its DeviceState. All is guarded by
// the wire's mutex but where it says otherwise. A thread that takes several
// locks takes post_mutex, the wire's mutex and that of a completion queue in
// this order.
struct EmulatedQp : ibv_qp {
  EmulatedQp(DeviceState& device, uint64_t id, ibv_pd* pd,
             const ibv_qp_init_attr& init)
      : ibv_qp(),
        device(device),
        id(id),
        caps(init.cap),
        signal_all(init.sq_sig_all != 0),
        send_queue(init.cap.max_send_wr),
        recv_queue(init.cap.max_recv_wr) {
    this->pd = pd;
    context = pd->context;
    qp_context = init.qp_context;
    send_cq = init.send_cq;
    recv_cq = init.recv_cq;
    qp_type = init.qp_type;
    state = IBV_QPS_RESET;
  }

  EmulatedCq& send() { return static_cast<EmulatedCq&>(*send_cq); }
  EmulatedCq& recv() { return static_cast<EmulatedCq&>(*recv_cq); }

  DeviceState& device;
  const uint64_t id;  // of all queue pairs there ever were in the fabric
  const ibv_qp_cap caps;
  const bool signal_all;

  // The state that counts: ibv_qp::state is what the user last saw.
  ibv_qp_state current = IBV_QPS_RESET;
  ibv_qp_attr attr = {};
  WorkRing<SendWork> send_queue;  // not yet completed
  WorkRing<RecvWork> recv_queue;
  // Hung for good: nothing of the send queue will ever complete.
  bool wedged = false;
  // Of the timer that is to look at the head of the send queue; 0: none.
  uint64_t timer = 0;
  // Whom it is connected to, or null, as found in the wire's epoch peer_epoch.
  EmulatedQp* peer = nullptr;
  uint64_t peer_epoch = 0;

  // How many work requests' slots are free again. Written under the mutex of
  // the completion queue that frees them.
  std::atomic<uint64_t> send_freed{0};
  std::atomic<uint64_t> recv_freed{0};

  // Held throughout ibv_post_send.
  Mutex post_mutex;
  uint64_t send_posted ABSL_GUARDED_BY(post_mutex) = 0;
  // The epoch of the wire in which work requests complete without a look at
  // anything else: see Wire::PostUnchecked.
  uint64_t unchecked_epoch ABSL_GUARDED_BY(post_mutex) = 0;
  uint64_t recv_posted = 0;
};

inline EmulatedQp& QpOf(ibv_qp* qp) { return static_cast<EmulatedQp&>(*qp); }

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_QP_H_
