#include "te/rdma/send_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"

namespace te::rdma {

SendQueue::SendQueue(QueuePair pair, const QueuePairLimits& limits,
                     uint32_t index)
    : pair_(std::move(pair)),
      limits_(limits),
      index_(index),
      signal_interval_(std::min(kSignalInterval, limits.max_wr / 4)),
      ring_(std::bit_ceil(limits.max_wr)),
      ring_mask_(static_cast<uint32_t>(ring_.size()) - 1),
      pieces_(kChain * limits.max_sge) {
  CHECK_GE(limits.max_wr, kMinDepth);
  CHECK_LE(limits.max_sge, kMaxSge);
  for (size_t i = 0; i < kChain; ++i) {
    requests_[i].sg_list = &pieces_[i * limits.max_sge];
    requests_[i].next = &requests_[i] + 1;
  }
}

void SendQueue::LookForRoom() {
  // Acquire pairs with the release in CompleteBefore: who completed has read
  // the slots.
  const uint32_t used = tail_.load(std::memory_order_relaxed) + chained_ -
                        head_.load(std::memory_order_acquire);
  room_ =
      std::min(limits_.max_wr - used, static_cast<uint32_t>(kChain) - chained_);
}

// Into the last work request of the chain, at whose end the remote memory goes
// on: one message in place of two.
bool SendQueue::Merge(const WorkPiece& piece) {
  if (chained_ == 0) return false;
  ibv_send_wr& last = requests_[chained_ - 1];
  Posted& posted = At(tail_.load(std::memory_order_relaxed) + chained_ - 1);
  const bool same = last.opcode == (piece.operation == Operation::kRead
                                        ? IBV_WR_RDMA_READ
                                        : IBV_WR_RDMA_WRITE) &&
                    last.wr.rdma.rkey == piece.remote_key;
  if (!same || posted.partial || piece.partial ||
      posted.bytes + piece.length > kMaxMergedBytes ||
      static_cast<uint32_t>(last.num_sge) == limits_.max_sge) {
    return false;
  }
  last.sg_list[last.num_sge++] = {
      .addr = reinterpret_cast<uint64_t>(piece.local),
      .length = piece.length,
      .lkey = piece.local_key};
  posted.bytes += piece.length;
  remote_end_ += piece.length;
  posted.last->next = piece.slice;
  posted.last = piece.slice;
  piece.slice->next = nullptr;
  if (posted.bytes > limits_.max_inline) last.send_flags &= ~IBV_SEND_INLINE;
  if (posted.bytes >= kSignalBytes) Signal(last);
  return true;
}

void SendQueue::AddProbe() {
  const uint32_t position = tail_.load(std::memory_order_relaxed) + chained_;
  At(position) = {};
  ibv_send_wr& request = requests_[chained_];
  request.wr_id = WorkRequestId{.queue = index_, .position = position}.Pack();
  request.num_sge = 0;
  request.opcode = IBV_WR_RDMA_WRITE;
  request.send_flags = 0;
  request.wr.rdma = {};
  remote_end_ = 0;
  ++chained_;
  --room_;
}

absl::Status SendQueue::Ring(MonotonicTime now, Refused refused) {
  if (chained_ == 0) return absl::OkStatus();
  const uint32_t count = std::exchange(chained_, 0);
  // A chain more may be begun.
  room_ = 0;
  const uint32_t begin = tail_.load(std::memory_order_relaxed);
  ibv_send_wr& last = requests_[count - 1];
  Signal(last);
  ibv_send_wr* const after_last = std::exchange(last.next, nullptr);
  // The first completion may be seen before the call returns.
  if (outstanding() == 0) Stamp(now);
  // Release publishes the slots to the completing thread.
  tail_.store(begin + count, std::memory_order_release);
  ibv_send_wr* bad = nullptr;
  const int error = ibv_post_send(pair_.get(), &requests_[0], &bad);
  last.next = after_last;
  if (error == 0) return absl::OkStatus();
  const auto taken =
      bad == nullptr ? 0 : static_cast<uint32_t>(bad - requests_.data());
  // Nobody completes what the device has not got.
  tail_.store(begin + taken, std::memory_order_release);
  // Parts of one slice stand next to each other.
  const Posted* const last_taken = taken > 0 ? &At(begin + taken - 1) : nullptr;
  bool torn = last_taken != nullptr && last_taken->partial;
  for (uint32_t i = taken; i < count; ++i) {
    const Posted& posted = At(begin + i);
    refused(posted, torn);
    torn &= posted.partial;
  }
  return ErrnoToStatus(error, "ibv_post_send");
}

bool SendQueue::IsUnderWay(uint32_t position) const {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  return position - head < tail_.load(std::memory_order_acquire) - head;
}

SendQueue::Completed SendQueue::TakeBefore(uint32_t position) {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  SliceList slices;
  uint64_t bytes = 0;
  for (uint32_t at = head; at != position; ++at) {
    const Posted& posted = At(at);
    bytes += posted.bytes;
    if (posted.first != nullptr && !posted.partial) {
      slices.Append(*posted.first, *posted.last);
    }
  }
  // Release: the slots have been read. Before the slices go: who gets the last
  // one may look for room.
  head_.store(position, std::memory_order_release);
  return {.slices = std::move(slices),
          .work_requests = position - head,
          .bytes = bytes};
}

void SendQueue::CompleteBefore(uint32_t position, Done done) {
  uint32_t head = head_.load(std::memory_order_relaxed);
  while (head != position) {
    const Posted posted = At(head);
    ++head;
    head_.store(head, std::memory_order_release);
    done(posted);
  }
}

}  // namespace te::rdma
