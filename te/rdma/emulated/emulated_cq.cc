#include "te/rdma/emulated/emulated_cq.h"

namespace te::rdma::emulated {

EmulatedCq::EmulatedCq(ibv_context* context, int capacity, void* user_context,
                       EmulatedCompChannel* channel)
    : ibv_cq(), emulated_channel_(channel), ring_(capacity) {
  this->context = context;
  this->channel = channel;
  cq_context = user_context;
  cqe = capacity;
}

EmulatedCq::PushResult EmulatedCq::Push(const Entry& entry) {
  MutexLock lock(mutex_);
  return PushLocked(entry);
}

EmulatedCq::PushResult EmulatedCq::PushLocked(const Entry& entry) {
  if (overrun_) return PushResult::kLost;
  if (size_ == ring_.size()) {
    overrun_ = true;
    return PushResult::kOverrun;
  }
  At(size_++) = entry;
  // man 3 ibv_req_notify_cq: an unsuccessful completion counts as solicited.
  if (armed_ == Armed::kAny ||
      (armed_ == Armed::kSolicited &&
       (entry.solicited || entry.wc.status != IBV_WC_SUCCESS))) {
    armed_ = Armed::kNo;
    if (emulated_channel_ != nullptr)
      emulated_channel_->events.Push(this, this);
  }
  return PushResult::kOk;
}

int EmulatedCq::Poll(int max, ibv_wc* wc) {
  MutexLock lock(mutex_);
  int polled = 0;
  for (; polled < max && size_ > 0; ++polled) {
    const Entry& entry = ring_[head_];
    wc[polled] = entry.wc;
    // Release: a poster that finds the slot free comes after this completion.
    entry.freed->store(entry.freed_when_polled, std::memory_order_release);
    head_ = head_ + 1 < ring_.size() ? head_ + 1 : 0;
    --size_;
  }
  return polled;
}

void EmulatedCq::RequestNotify(bool solicited_only) {
  MutexLock lock(mutex_);
  // The wider request wins: IB specification volume 1, 11.4.2.2.
  if (!solicited_only) {
    armed_ = Armed::kAny;
  } else if (armed_ == Armed::kNo) {
    armed_ = Armed::kSolicited;
  }
}

void EmulatedCq::Purge(const std::atomic<uint64_t>& freed) {
  MutexLock lock(mutex_);
  size_t kept = 0;
  for (size_t i = 0; i < size_; ++i) {
    if (At(i).freed == &freed) continue;
    if (kept != i) At(kept) = At(i);
    ++kept;
  }
  size_ = kept;
}

}  // namespace te::rdma::emulated
