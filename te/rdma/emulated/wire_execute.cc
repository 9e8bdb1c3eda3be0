// What becomes of posted work requests.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "te/rdma/emulated/qp_transitions.h"
#include "te/rdma/emulated/wire.h"

namespace te::rdma::emulated {
namespace {

std::byte* Pointer(uint64_t address) {
  return reinterpret_cast<std::byte*>(address);
}

uint32_t MtuBytes(ibv_mtu mtu) { return uint32_t{128} << mtu; }

// Copies what is to be sent to `to`.
void Gather(const SendWork& work, std::byte* to) {
  if ((work.flags & IBV_SEND_INLINE) != 0) {
    if (work.length != 0) memcpy(to, work.inline_data.data(), work.length);
    return;
  }
  for (const ibv_sge& sge : work.sges) {
    // Not memcpy: both ends may be the same memory.
    if (sge.length != 0) memmove(to, Pointer(sge.addr), sge.length);
    to += sge.length;
  }
}

void Scatter(const std::byte* from, const std::vector<ibv_sge>& sges) {
  for (const ibv_sge& sge : sges) {
    if (sge.length != 0) memmove(Pointer(sge.addr), from, sge.length);
    from += sge.length;
  }
}

ibv_wc_opcode CompletionOpcode(ibv_wr_opcode opcode) {
  if (opcode == IBV_WR_RDMA_READ) return IBV_WC_RDMA_READ;
  return opcode == IBV_WR_SEND ? IBV_WC_SEND : IBV_WC_RDMA_WRITE;
}

// man 3 ibv_poll_cq: of an error, only these four members are valid. The others
// are set to what nobody can mean.
void FillError(ibv_wc& wc, uint64_t wr_id, ibv_wc_status status,
               uint32_t vendor_err, uint32_t qp_num) {
  memset(&wc, 0xee, sizeof(wc));
  wc.opcode = IBV_WC_TM_NO_TAG;
  wc.wr_id = wr_id;
  wc.status = status;
  wc.vendor_err = vendor_err;
  wc.qp_num = qp_num;
}

}  // namespace

void Wire::Start(EmulatedQp& qp, MonotonicTime now) {
  if (inline_) {
    Advance(qp, now);
  } else if (qp.current == IBV_QPS_RTS && qp.timer == 0 &&
             !qp.send_queue.empty() &&
             qp.send_queue.front().due < kNoDeadline) {
    SetTimer(qp, qp.send_queue.front().due);
  }
}

void Wire::Advance(EmulatedQp& qp, MonotonicTime now) {
  while (qp.current == IBV_QPS_RTS && !qp.send_queue.empty()) {
    const MonotonicTime due = qp.send_queue.front().due;
    if (due > now) {
      if (qp.timer == 0 && due < kNoDeadline) SetTimer(qp, due);
      return;
    }
    Step(qp, now);
  }
}

void Wire::Judge(EmulatedQp& qp, SendWork& work) {
  work.judged = true;
  const uint64_t index = judged_++;
  if (script_ == nullptr) return;
  WorkRequestInfo info;
  info.index = index;
  info.host = qp.device.host;
  info.device = qp.device.spec.name;
  info.qp_num = qp.qp_num;
  info.dest_qp_num = qp.attr.dest_qp_num;
  info.wr_id = work.wr_id;
  info.opcode = work.opcode;
  info.length = work.length;
  info.remote_addr = work.remote_addr;
  info.rkey = work.rkey;
  work.fault = script_(info);
}

void Wire::Step(EmulatedQp& qp, MonotonicTime now) {
  SendWork& work = qp.send_queue.front();
  if (!work.judged) {
    Judge(qp, work);
    if (work.fault.delay > Duration::zero()) {
      work.due = DeadlineAfter(now, work.fault.delay);
      return;
    }
  }
  if (work.losses > qp.attr.retry_cnt) {
    FailHead(qp, IBV_WC_RETRY_EXC_ERR, 0);
    return;
  }
  const Fault fault = work.fault;
  const bool faulty = fault.status != IBV_WC_SUCCESS || fault.hang != Hang::kNo;
  Outcome outcome;
  if (!faulty || fault.carried_out) outcome = Attempt(qp, work);
  switch (outcome.kind) {
    case Outcome::kLost:
      ++work.losses;
      work.due = DeadlineAfter(now, AckTimeout(qp.attr.timeout));
      return;
    case Outcome::kNotReady:
      work.losses = 0;
      // 7 means for ever: man 3 ibv_modify_qp.
      if (qp.attr.rnr_retry != 7 && work.not_ready++ >= qp.attr.rnr_retry) {
        FailHead(qp, IBV_WC_RNR_RETRY_EXC_ERR, 0);
      } else {
        work.due = DeadlineAfter(now, outcome.retry_after);
      }
      return;
    case Outcome::kFailed:
      FailHead(qp, outcome.status, 0);
      if (outcome.responder != nullptr) {
        if (outcome.responder_event.has_value()) {
          RaiseQpEvent(*outcome.responder, *outcome.responder_event);
        }
        MoveToError(*outcome.responder);
      }
      return;
    case Outcome::kDone:
      break;
  }
  if (fault.hang != Hang::kNo) {
    work.due = kNoDeadline;
    qp.wedged = fault.hang == Hang::kForGood;
  } else if (faulty) {
    FailHead(qp, fault.status, fault.vendor_err);
  } else {
    CompleteSend(qp, IBV_WC_SUCCESS, 0);
  }
}

Wire::Outcome Wire::Failed(ibv_wc_status status) {
  Outcome outcome;
  outcome.kind = Outcome::kFailed;
  outcome.status = status;
  return outcome;
}

Wire::Outcome Wire::FailedBoth(ibv_wc_status status, EmulatedQp& responder,
                               std::optional<ibv_event_type> event) {
  Outcome outcome = Failed(status);
  outcome.responder = &responder;
  outcome.responder_event = event;
  return outcome;
}

Wire::Outcome Wire::Attempt(EmulatedQp& qp, const SendWork& work) {
  const bool rdma = work.opcode != IBV_WR_SEND;
  if (copy_ || !rdma) {
    for (const ibv_sge& sge : work.sges) {
      if (!qp.device.mrs.MayAccessLocally(qp.pd, sge,
                                          work.opcode == IBV_WR_RDMA_READ)) {
        return Failed(IBV_WC_LOC_PROT_ERR);
      }
    }
  }
  if (work.length > qp.device.spec.max_msg_sz) {
    return Failed(IBV_WC_LOC_LEN_ERR);
  }
  if (work.opcode == IBV_WR_RDMA_READ && qp.attr.max_rd_atomic == 0) {
    return Failed(IBV_WC_LOC_QP_OP_ERR);
  }
  EmulatedQp* const peer = PeerOf(qp);
  Outcome lost;
  lost.kind = Outcome::kLost;
  if (peer == nullptr || Lose(qp.device.loss_probability) ||
      Lose(peer->device.loss_probability)) {
    return lost;
  }
  // Packets longer than the responder expects: InfiniBand specification volume
  // 1, 9.7.4.1.
  if (qp.attr.path_mtu > peer->attr.path_mtu &&
      work.length > MtuBytes(peer->attr.path_mtu)) {
    return FailedBoth(IBV_WC_REM_INV_REQ_ERR, *peer, IBV_EVENT_QP_REQ_ERR);
  }
  return rdma ? Access(*peer, work) : Send(qp, *peer, work);
}

Wire::Outcome Wire::Access(EmulatedQp& peer, const SendWork& work) {
  const bool read = work.opcode == IBV_WR_RDMA_READ;
  const unsigned int access =
      read ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
  // What a queue pair does not allow at all is an invalid request, whatever the
  // key: InfiniBand specification volume 1, 9.7.4.1.
  if ((peer.attr.qp_access_flags & access) == 0 ||
      (read && peer.attr.max_dest_rd_atomic == 0)) {
    return FailedBoth(IBV_WC_REM_INV_REQ_ERR, peer, IBV_EVENT_QP_REQ_ERR);
  }
  // C9-88: without a byte there is no key to check.
  if (work.length == 0 || !copy_) return {};
  if (!peer.device.mrs.MayAccessRemotely(peer.pd, work.rkey, work.remote_addr,
                                         work.length, access)) {
    return FailedBoth(IBV_WC_REM_ACCESS_ERR, peer, IBV_EVENT_QP_ACCESS_ERR);
  }
  if (read) {
    Scatter(Pointer(work.remote_addr), work.sges);
  } else {
    Gather(work, Pointer(work.remote_addr));
  }
  return {};
}

Wire::Outcome Wire::Send(EmulatedQp& qp, EmulatedQp& peer,
                         const SendWork& work) {
  if (peer.recv_queue.empty()) {
    Outcome outcome;
    outcome.kind = Outcome::kNotReady;
    outcome.retry_after = RnrDelay(peer.attr.min_rnr_timer);
    return outcome;
  }
  const RecvWork& recv = peer.recv_queue.front();
  // Only as much of the receive's memory as the message fills.
  std::vector<ibv_sge> filled;
  uint64_t left = work.length;
  bool allowed = true;
  for (ibv_sge sge : recv.sges) {
    if (sge.length > left) sge.length = static_cast<uint32_t>(left);
    left -= sge.length;
    allowed = allowed && peer.device.mrs.MayAccessLocally(peer.pd, sge, true);
    filled.push_back(sge);
  }
  if (left > 0 || !allowed) {
    // The receive tells the responder, so it gets no event.
    CompleteRecv(peer, left > 0 ? IBV_WC_LOC_LEN_ERR : IBV_WC_LOC_PROT_ERR, 0,
                 0, false);
    return FailedBoth(left > 0 ? IBV_WC_REM_INV_REQ_ERR : IBV_WC_REM_OP_ERR,
                      peer, std::nullopt);
  }
  std::vector<std::byte> message(work.length);
  Gather(work, message.data());
  Scatter(message.data(), filled);
  CompleteRecv(peer, IBV_WC_SUCCESS, work.length, qp.qp_num,
               (work.flags & IBV_SEND_SOLICITED) != 0);
  return {};
}

void Wire::CompleteSend(EmulatedQp& qp, ibv_wc_status status,
                        uint32_t vendor_err) {
  const SendWork& work = qp.send_queue.front();
  EmulatedCq::Entry entry = {};
  entry.freed = &qp.send_freed;
  entry.freed_when_polled = work.sequence;
  const bool success = status == IBV_WC_SUCCESS;
  if (success) {
    entry.wc.wr_id = work.wr_id;
    entry.wc.status = status;
    entry.wc.opcode = CompletionOpcode(work.opcode);
    entry.wc.qp_num = qp.qp_num;
    if (work.opcode == IBV_WR_RDMA_READ) {
      entry.wc.byte_len = static_cast<uint32_t>(work.length);
    }
  } else {
    FillError(entry.wc, work.wr_id, status, vendor_err, qp.qp_num);
  }
  const bool reported =
      !success || qp.signal_all || (work.flags & IBV_SEND_SIGNALED) != 0;
  qp.send_queue.PopFront();
  if (reported) Push(qp, qp.send(), entry);
}

void Wire::CompleteRecv(EmulatedQp& qp, ibv_wc_status status, uint64_t length,
                        uint32_t source_qp, bool solicited) {
  const RecvWork& work = qp.recv_queue.front();
  EmulatedCq::Entry entry = {};
  entry.freed = &qp.recv_freed;
  entry.freed_when_polled = work.sequence;
  entry.solicited = solicited;
  if (status == IBV_WC_SUCCESS) {
    entry.wc.wr_id = work.wr_id;
    entry.wc.status = status;
    entry.wc.opcode = IBV_WC_RECV;
    entry.wc.byte_len = static_cast<uint32_t>(length);
    entry.wc.qp_num = qp.qp_num;
    entry.wc.src_qp = source_qp;
  } else {
    FillError(entry.wc, work.wr_id, status, 0, qp.qp_num);
  }
  qp.recv_queue.PopFront();
  Push(qp, qp.recv(), entry);
}

void Wire::Push(EmulatedQp& qp, EmulatedCq& cq,
                const EmulatedCq::Entry& entry) {
  const EmulatedCq::PushResult result = cq.Push(entry);
  if (result == EmulatedCq::PushResult::kOk) return;
  if (result == EmulatedCq::PushResult::kOverrun) RaiseCqError(cq);
  // A queue pair that cannot report completions is of no use.
  if (qp.current == IBV_QPS_ERR) return;
  RaiseQpEvent(qp, IBV_EVENT_QP_FATAL);
  MoveToError(qp);
}

void Wire::FailHead(EmulatedQp& qp, ibv_wc_status status, uint32_t vendor_err) {
  CompleteSend(qp, status, vendor_err);
  MoveToError(qp);
}

void Wire::MoveToError(EmulatedQp& qp) {
  BumpEpoch();
  qp.current = IBV_QPS_ERR;
  qp.timer = 0;
  if (qp.wedged) qp.send_queue.Clear();
  while (!qp.send_queue.empty()) CompleteSend(qp, IBV_WC_WR_FLUSH_ERR, 0);
  while (!qp.recv_queue.empty()) {
    CompleteRecv(qp, IBV_WC_WR_FLUSH_ERR, 0, 0, false);
  }
}

}  // namespace te::rdma::emulated
