// What ibv_post_send and ibv_post_recv do.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "te/rdma/emulated/wire.h"

namespace te::rdma::emulated {
namespace {

uint64_t LengthOf(const ibv_sge* sges, int count) {
  uint64_t length = 0;
  for (int i = 0; i < count; ++i) length += sges[i].length;
  return length;
}

bool IsRdma(ibv_wr_opcode opcode) {
  return opcode == IBV_WR_RDMA_READ || opcode == IBV_WR_RDMA_WRITE;
}

// 0, or EINVAL if the queue pair cannot take the request, whatever its state.
int CheckRequest(const ibv_qp_cap& caps, const ibv_send_wr& wr) {
  if (!IsRdma(wr.opcode) && wr.opcode != IBV_WR_SEND) return EINVAL;
  if (wr.num_sge < 0 || static_cast<uint32_t>(wr.num_sge) > caps.max_send_sge) {
    return EINVAL;
  }
  if ((wr.send_flags & IBV_SEND_INLINE) != 0 &&
      (wr.opcode == IBV_WR_RDMA_READ ||
       LengthOf(wr.sg_list, wr.num_sge) > caps.max_inline_data)) {
    return EINVAL;
  }
  return 0;
}

void Fill(SendWork& work, const ibv_send_wr& wr) {
  work.wr_id = wr.wr_id;
  work.opcode = wr.opcode;
  work.flags = wr.send_flags;
  work.length = LengthOf(wr.sg_list, wr.num_sge);
  work.remote_addr = IsRdma(wr.opcode) ? wr.wr.rdma.remote_addr : 0;
  work.rkey = IsRdma(wr.opcode) ? wr.wr.rdma.rkey : 0;
  work.losses = 0;
  work.not_ready = 0;
  work.judged = false;
  work.fault = {};
  work.sges.clear();
  work.inline_data.clear();
  if ((wr.send_flags & IBV_SEND_INLINE) == 0) {
    work.sges.assign(wr.sg_list, wr.sg_list + wr.num_sge);
    return;
  }
  for (int i = 0; i < wr.num_sge; ++i) {
    const auto* const bytes =
        reinterpret_cast<const std::byte*>(wr.sg_list[i].addr);
    work.inline_data.insert(work.inline_data.end(), bytes,
                            bytes + wr.sg_list[i].length);
  }
}

}  // namespace

int Wire::PostSend(EmulatedQp& qp, ibv_send_wr* wr, ibv_send_wr** bad) {
  MutexLock post_lock(qp.post_mutex);
  if (qp.unchecked_epoch == epoch_.load()) {
    wr = PostUnchecked(qp, wr);
    if (wr == nullptr) return 0;
  }
  MutexLock lock(mutex_);
  const MonotonicTime now = clock_.Now();
  int error = 0;
  for (; wr != nullptr; wr = wr->next) {
    error = PostOne(qp, *wr, now);
    if (error == 0) continue;
    *bad = wr;
    break;
  }
  Start(qp, now);
  qp.unchecked_epoch = MayGoUnchecked(qp) ? epoch_.load() : 0;
  return error;
}

int Wire::PostOne(EmulatedQp& qp, const ibv_send_wr& wr, MonotonicTime now) {
  if (qp.device.fatal) return EIO;
  if (qp.current == IBV_QPS_RESET || qp.current == IBV_QPS_INIT ||
      qp.current == IBV_QPS_RTR) {
    return EINVAL;
  }
  if (const int error = CheckRequest(qp.caps, wr); error != 0) return error;
  if (qp.send_posted - qp.send_freed.load(std::memory_order_acquire) >=
      qp.caps.max_send_wr) {
    return ENOMEM;
  }
  ++qp.send_posted;
  if (qp.wedged && qp.current == IBV_QPS_ERR) return 0;  // Hang::kForGood
  SendWork& work = qp.send_queue.PushBack();
  Fill(work, wr);
  work.sequence = qp.send_posted;
  if (qp.current == IBV_QPS_ERR) {
    CompleteSend(qp, IBV_WC_WR_FLUSH_ERR, 0);
  } else {
    work.due = DueOf(qp.device, work.length, now);
  }
  return 0;
}

MonotonicTime Wire::DueOf(DeviceState& device, uint64_t length,
                          MonotonicTime now) {
  if (inline_) return now;
  device.busy_until = std::max(device.busy_until, now);
  if (device.spec.bytes_per_second != 0) {
    device.busy_until += Duration(static_cast<Duration::rep>(
        1e9 * static_cast<double>(length) /
        static_cast<double>(device.spec.bytes_per_second)));
  }
  return device.busy_until + device.spec.latency;
}

// What PostUnchecked takes for granted.
bool Wire::MayGoUnchecked(EmulatedQp& qp) {
  if (copy_ || script_ != nullptr || qp.current != IBV_QPS_RTS ||
      !qp.send_queue.empty()) {
    return false;
  }
  const EmulatedQp* const peer = PeerOf(qp);
  if (peer == nullptr) return false;
  constexpr unsigned int kBoth =
      unsigned{IBV_ACCESS_REMOTE_READ} | unsigned{IBV_ACCESS_REMOTE_WRITE};
  return (peer->attr.qp_access_flags & kBoth) == kBoth &&
         peer->attr.max_dest_rd_atomic > 0 && qp.attr.max_rd_atomic > 0 &&
         qp.attr.path_mtu <= peer->attr.path_mtu &&
         qp.device.loss_probability <= 0 && peer->device.loss_probability <= 0;
}

// With nothing to copy, all that a request needs is a slot and a place for its
// completion. The rest was found to be well in this epoch. Who ends the epoch
// while this runs may see it complete just after.
ibv_send_wr* Wire::PostUnchecked(EmulatedQp& qp, ibv_send_wr* wr) {
  EmulatedCq& cq = qp.send();
  EmulatedCq::Entry entry = {};
  entry.wc.status = IBV_WC_SUCCESS;
  entry.wc.qp_num = qp.qp_num;
  entry.freed = &qp.send_freed;
  MutexLock lock(cq.mutex());
  for (; wr != nullptr; wr = wr->next) {
    const bool signalled =
        qp.signal_all || (wr->send_flags & IBV_SEND_SIGNALED) != 0;
    const bool plain =
        IsRdma(wr->opcode) && (wr->send_flags & IBV_SEND_INLINE) == 0;
    if (!plain || CheckRequest(qp.caps, *wr) != 0) break;
    const uint64_t length = LengthOf(wr->sg_list, wr->num_sge);
    if (length > qp.device.spec.max_msg_sz) break;
    // Acquire: comes after the completion that freed the slot.
    if (qp.send_posted - qp.send_freed.load(std::memory_order_acquire) >=
        qp.caps.max_send_wr) {
      break;
    }
    if (signalled && !cq.has_room()) break;
    ++qp.send_posted;
    if (!signalled) continue;
    const bool read = wr->opcode == IBV_WR_RDMA_READ;
    entry.wc.wr_id = wr->wr_id;
    entry.wc.opcode = read ? IBV_WC_RDMA_READ : IBV_WC_RDMA_WRITE;
    entry.wc.byte_len = read ? static_cast<uint32_t>(length) : 0;
    entry.freed_when_polled = qp.send_posted;
    cq.PushLocked(entry);
  }
  return wr;
}

int Wire::PostRecv(EmulatedQp& qp, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  MutexLock lock(mutex_);
  for (; wr != nullptr; wr = wr->next) {
    *bad = wr;
    if (qp.device.fatal) return EIO;
    if (qp.current == IBV_QPS_RESET) return EINVAL;
    if (wr->num_sge < 0 ||
        static_cast<uint32_t>(wr->num_sge) > qp.caps.max_recv_sge) {
      return EINVAL;
    }
    if (qp.recv_posted - qp.recv_freed.load(std::memory_order_acquire) >=
        qp.caps.max_recv_wr) {
      return ENOMEM;
    }
    RecvWork& work = qp.recv_queue.PushBack();
    work.wr_id = wr->wr_id;
    work.sequence = ++qp.recv_posted;
    work.sges.assign(wr->sg_list, wr->sg_list + wr->num_sge);
    if (qp.current == IBV_QPS_ERR) {
      CompleteRecv(qp, IBV_WC_WR_FLUSH_ERR, 0, 0, false);
    }
  }
  return 0;
}

}  // namespace te::rdma::emulated
