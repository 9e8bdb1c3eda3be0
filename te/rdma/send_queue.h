#ifndef TE_RDMA_SEND_QUEUE_H_
#define TE_RDMA_SEND_QUEUE_H_

#include <infiniband/verbs.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/rdma/queue_pair.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::rdma {

// What ibv_wc::wr_id says of a work request: the number of its queue in the
// endpoint, and where in the queue it stands. A value.
struct WorkRequestId {
  uint32_t queue = 0;
  uint32_t position = 0;

  uint64_t Pack() const { return (uint64_t{queue} << 32) | position; }
  static WorkRequestId Unpack(uint64_t packed) {
    return {.queue = static_cast<uint32_t>(packed >> 32),
            .position = static_cast<uint32_t>(packed)};
  }
};

// A part of a slice with what a work request needs besides.
struct WorkPiece {
  Operation operation = Operation::kRead;
  std::byte* local = nullptr;
  uint32_t local_key = 0;
  uint64_t remote_address = 0;
  uint32_t remote_key = 0;
  uint32_t length = 0;
  Slice* slice = nullptr;
  // Whether more of the slice follows, in the same queue.
  bool partial = false;
};

// The work requests of one queue pair, in the order in which they complete.
//
// One thread at a time posts, and one completes; these may be two. A slot is
// free again when its completion, or one after it, has been seen: as the device
// counts too, so it is never asked for more than it has.
class SendQueue {
 public:
  // Work requests that are handed over at once: one doorbell for all.
  static constexpr size_t kChain = 32;
  // Every so many at least ask for a completion, and every fourth part of a
  // queue, so that there is room again before the last one is done.
  static constexpr uint32_t kSignalInterval = 16;
  static constexpr uint32_t kMinDepth = 16;
  // Those that move more ask for one each, for the window counts bytes.
  static constexpr uint32_t kSignalBytes = 16 << 10;
  static constexpr uint32_t kMaxSge = 16;
  // Of pieces that share a work request. Longer ones had better be spread.
  static constexpr uint32_t kMaxMergedBytes = 64 << 10;

  // Positions wrap soon, rather than after an hour of traffic.
  static constexpr uint32_t kFirstPosition = uint32_t{0} - 1000;

  // A work request.
  struct Posted {
    uint32_t bytes = 0;
    // Its slices, linked through Slice::next; none of a probe.
    Slice* first = nullptr;
    Slice* last = nullptr;
    // Of its one slice, more follows.
    bool partial = false;
  };

  // `index` is for WorkRequestId.
  SendQueue(QueuePair pair, const QueuePairLimits& limits, uint32_t index);

  const QueuePair& pair() const { return pair_; }
  QueuePair& pair() { return pair_; }

  // --- The thread that posts. ---

  // How many pieces Add will take before Ring must be called, or completions
  // seen: at least, as of the last LookForRoom.
  uint32_t room() const { return room_; }
  void LookForRoom();
  void Add(const WorkPiece& piece);
  // A WRITE of no bytes, and of no slice; there must be room.
  void AddProbe();
  // What has been added and not handed over, as work requests.
  uint32_t chained() const { return chained_; }
  // Hands over what was added. On an error `refused` gets what the device did
  // not take, and whether it has taken an earlier part of the same slice; the
  // queue is then to be given up.
  using Refused = absl::FunctionRef<void(const Posted& posted, bool torn)>;
  absl::Status Ring(MonotonicTime now, Refused refused);

  // --- The thread that completes. ---

  // Of work requests that have succeeded.
  struct Completed {
    // In order, but for those of which more is under way.
    SliceList slices;
    uint32_t work_requests = 0;
    uint64_t bytes = 0;
  };
  // Ends all work requests before `position`.
  Completed TakeBefore(uint32_t position);
  // Ends all work requests before `position`, one after the other.
  using Done = absl::FunctionRef<void(const Posted& posted)>;
  void CompleteBefore(uint32_t position, Done done);
  void CompleteThrough(uint32_t position, Done done) {
    CompleteBefore(position + 1, done);
  }
  // Whether `position` is one of a work request under way.
  bool IsUnderWay(uint32_t position) const;
  void NoteProgress(MonotonicTime now) { Stamp(now); }
  // Destroys the queue pair: from here on the device touches no memory for it.
  // What is under way is then to be completed by whoever did so.
  void DestroyPair() { QueuePair(std::move(pair_)); }

  // --- Any thread. ---

  uint32_t outstanding() const { return tail_.load() - head_.load(); }
  // Since when the oldest work request has been the oldest, or was posted.
  // Meaningless if there is none.
  MonotonicTime waiting_since() const {
    return MonotonicTime(Duration(waiting_since_.load()));
  }
  // The end of what is under way; for the owner of both sides alone.
  uint32_t end() const { return tail_.load(); }

 private:
  bool Merge(const WorkPiece& piece);
  void Signal(ibv_send_wr& request) {
    request.send_flags |= IBV_SEND_SIGNALED;
    unsignalled_ = 0;
  }
  void Stamp(MonotonicTime now) {
    waiting_since_.store(now.time_since_epoch().count());
  }
  Posted& At(uint32_t position) { return ring_[position & ring_mask_]; }

  QueuePair pair_;
  const QueuePairLimits limits_;
  const uint32_t index_;
  const uint32_t signal_interval_;
  // As long as the queue pair's queue, or longer: a power of two, so that
  // neighbours have different slots also where positions wrap.
  std::vector<Posted> ring_;
  const uint32_t ring_mask_;
  // Positions go on for ever. Written by the completing and the posting thread.
  std::atomic<uint32_t> head_{kFirstPosition};
  std::atomic<uint32_t> tail_{kFirstPosition};
  std::atomic<int64_t> waiting_since_{0};

  // What has been added and not handed over: the positions from tail_ on.
  uint32_t chained_ = 0;
  // Where the remote memory of the last of them ends.
  uint64_t remote_end_ = 0;
  uint32_t room_ = 0;
  uint32_t unsignalled_ = 0;
  // Each has its own part of pieces_, and leads to the next.
  std::array<ibv_send_wr, kChain> requests_ = {};
  std::vector<ibv_sge> pieces_;
};

// Here for the sake of Endpoint::Add, which calls it for each slice.
inline void SendQueue::Add(const WorkPiece& piece) {
  if (piece.remote_address == remote_end_ && Merge(piece)) return;
  const uint32_t position = tail_.load(std::memory_order_relaxed) + chained_;
  piece.slice->next = nullptr;
  At(position) = {.bytes = piece.length,
                  .first = piece.slice,
                  .last = piece.slice,
                  .partial = piece.partial};
  ibv_send_wr& request = requests_[chained_];
  *request.sg_list = {.addr = reinterpret_cast<uint64_t>(piece.local),
                      .length = piece.length,
                      .lkey = piece.local_key};
  request.wr_id = WorkRequestId{.queue = index_, .position = position}.Pack();
  request.num_sge = 1;
  const bool is_read = piece.operation == Operation::kRead;
  request.opcode = is_read ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE;
  const bool is_inline = !is_read && piece.length <= limits_.max_inline;
  request.send_flags = is_inline ? IBV_SEND_INLINE : 0;
  if (++unsignalled_ >= signal_interval_ || piece.length >= kSignalBytes) {
    Signal(request);
  }
  request.wr.rdma.remote_addr = piece.remote_address;
  request.wr.rdma.rkey = piece.remote_key;
  remote_end_ = piece.remote_address + piece.length;
  ++chained_;
  --room_;
}

}  // namespace te::rdma

#endif  // TE_RDMA_SEND_QUEUE_H_
