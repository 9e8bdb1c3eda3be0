#ifndef TE_RDMA_ENDPOINT_H_
#define TE_RDMA_ENDPOINT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/baton.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/rdma/connection.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/transport.h"

namespace te::rdma {

// The way from a NIC of this engine to one of a peer's, for the slices of one
// rail: a place for a connection, which may break and be replaced.
//
// The rail decides who posts: a function below that says so is called by one
// thread at a time. All others are thread-safe. Completions are given back on
// whatever thread polls, a caller's or the device's, with no lock of the
// endpoint's held: who gets them may want to withdraw something.
//
//   Install -> Add, Ring, Poll -> Break -> Poll until quiet -> Retire ->
//   Conclude -> Install
class Endpoint final : public EndpointStore::Evictable,
                       private DeviceWorker::Client {
 public:
  // The rail. Must not block.
  class Host {
   public:
    // Ends slices that were added. By Poll and Conclude alone.
    virtual void FinishAll(SliceList slices, const absl::Status& status) = 0;
    // Work requests have completed: there may be room for more. By Poll alone.
    virtual void OnRoom() = 0;
    // The connection is broken. Once for each; with locks held.
    virtual void OnBroken(Endpoint& endpoint) = 0;
    // Its place is wanted: the connection is to be retired when it is quiet.
    // Perhaps with locks held.
    virtual void OnEvicted(Endpoint& endpoint) = 0;

   protected:
    ~Host() = default;
  };

  // `nic` is number `local` of this engine's.
  Endpoint(NicUnit& nic, size_t local, const MemoryRegions& memory,
           const RdmaOptions& options, Host& host);
  // There must be no connection.
  ~Endpoint();

  NicUnit& nic() const { return nic_; }
  size_t local() const { return local_; }

  // A new connection, to be connected and installed; a queue with its
  // completions, which wake the device's thread for this endpoint.
  absl::StatusOr<std::unique_ptr<Connection>> MakeConnection(
      EndpointStore::Place place);
  // Destroys one that was not installed.
  void Discard(std::unique_ptr<Connection> connection);

  // --- The posting thread. ---

  // There must be no connection yet.
  void Install(std::unique_ptr<Connection> connection);
  // What polls have found, to be given back.
  struct Finished {
    SliceList done;
    std::vector<std::pair<SliceList, absl::Status>> failed;
  };
  // Of a connection.
  struct Remains {
    // What may have reached the peer.
    SliceList unknown;
    // For Conclude.
    Finished finished;
    std::unique_ptr<Connection> connection;
  };
  // Gives up the connection, with everything that is still on it. Destroys the
  // queue pairs. Waits for a poller.
  [[nodiscard]] Remains Retire();

  // It must be usable.
  bool HasRoomFor(const Slice& slice) {
    return in_flight_bytes_.load() < options_.window_bytes &&
           QueueFor(slice) != nullptr;
  }
  // Takes slices from the front, with a key of each of the peer's NICs: the
  // first, for which there must be room, and those that follow while there is.
  void Add(SliceList& slices);
  // Asks the peer's NIC for a sign of life, if nothing is under way: a WRITE of
  // no bytes (see Responder::Probe). Breaks the connection if none comes.
  void Probe();
  // Hands over what was added; the device's thread attends to it, unless
  // somebody polls. On an error, which breaks the connection, `refused` gets
  // what has not been sent.
  void Ring(SliceList& refused);
  // Breaks the connection if nothing has completed for too long.
  void CheckProgress(MonotonicTime now);

  // --- Any thread. ---

  // The rest of Retire, before the next Install. Gives back slices, and waits
  // for the device's thread: with no lock held.
  void Conclude(Remains remains) ABSL_LOCKS_EXCLUDED(polling_);
  Progress Poll();
  void BeginPolling() { ++pollers_; }
  void EndPolling();

  // Fails everything on the connection, which comes back by Poll and Retire.
  // By the posting thread, or one that polls.
  void Break(const absl::Status& why);
  bool broken() const { return !ready_.load(); }
  bool evicted() const { return evicted_.load(); }
  // Whether slices may be added: there is a connection, which is to stay.
  bool usable() const { return ready_.load() && !evicted_.load(); }
  // Whether anything has succeeded over the connection, or over the last one,
  // if only a probe: packets get there.
  bool proven() const { return proven_.load(); }
  // Whether that was something with data. Long packets may get lost where short
  // ones do not: the MTU of a hop, or flow control.
  bool has_carried() const { return has_carried_.load(); }
  // Whether nothing is under way.
  bool quiet() const { return in_flight_.load() == 0; }
  uint64_t in_flight_bytes() const { return in_flight_bytes_.load(); }
  absl::Status failure() const;
  // Grows with each work request that completes.
  uint64_t completed() const { return completed_.load(); }
  EndpointStore::Use TakeUse() override;
  void Evict() override;
  // For people, both ends: "mlx5_0 (...) to mlx5_1 (...)".
  std::string Describe() const;

 private:
  // How many work requests a slice takes: a message has a longest length.
  uint32_t PartsOf(const Slice& slice) const {
    const uint32_t longest = connection_->max_message_bytes;
    return slice.length <= longest ? 1 : 1 + (slice.length - 1) / longest;
  }
  // The queue if it has room, or another one that has, to go on with; else
  // null.
  SendQueue* QueueFor(const Slice& slice) {
    const uint32_t parts = PartsOf(slice);
    SendQueue* const current = connection_->queues[current_].get();
    return current->room() >= parts ? current : FindQueue(parts);
  }
  // Goes on with another queue pair, one that has room for so many pieces.
  SendQueue* FindQueue(uint32_t parts);
  // Of which something is chained.
  void RingQueue(SendQueue& queue, SliceList& refused);

  Progress OnCompletions() override;
  void Rest() override;
  bool wants_glances() const override { return attended_.load(); }
  void Glance() override;
  void Arm();

  // How many completions there were.
  int PollOnce(Finished& finished) ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void Complete(const ibv_wc& completion, MonotonicTime now, Finished& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void Succeed(SendQueue::Completed completed, Finished& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void Fail(const ibv_wc& completion, const SendQueue::Posted& posted,
            Finished& finished) ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void GiveUp(const SendQueue::Posted& posted, Finished& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void Account(uint32_t work_requests, uint64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(polling_);
  void GiveBack(Finished finished) ABSL_LOCKS_EXCLUDED(polling_);

  NicUnit& nic_;
  const size_t local_;
  const MemoryRegions& memory_;
  const RdmaOptions& options_;
  Host& host_;

  // Changes under both the poster's turn and polling_; so either may read it.
  std::unique_ptr<Connection> connection_;
  // The queue that Add adds to. The posting thread's.
  size_t current_ = 0;
  // There is a connection, and it is not broken.
  std::atomic<bool> ready_{false};
  std::atomic<bool> proven_{false};
  std::atomic<bool> has_carried_{false};
  std::atomic<bool> evicted_{false};
  std::atomic<bool> used_{false};
  std::atomic<uint64_t> completed_{0};
  std::atomic<uint64_t> in_flight_bytes_{0};
  // Work requests.
  std::atomic<uint32_t> in_flight_{0};
  std::atomic<int> pollers_{0};
  // The queue will wake the thread.
  std::atomic<bool> armed_{false};
  // Lately it was woken in vain: whoever posts comes to wait, and so saves the
  // system call and the thread's turn. It glances instead, in case nobody does.
  std::atomic<bool> attended_{false};
  // A caller who polls has found something since the last wake.
  std::atomic<bool> found_by_caller_{false};
  // Of the device's thread: how often in a row it was woken in vain, and has
  // glanced at nothing new; what had completed at the last glance.
  int vain_wakes_ = 0;
  int idle_glances_ = 0;
  uint64_t completed_at_glance_ = 0;

  Baton polling_;
  // Of a broken connection, until Retire.
  SliceList flushed_ ABSL_GUARDED_BY(polling_);
  // A slice that has failed for a reason of its own, and of which further parts
  // are under way.
  const Slice* failed_ ABSL_GUARDED_BY(polling_) = nullptr;
  absl::Status failed_status_ ABSL_GUARDED_BY(polling_);

  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::string description_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_ENDPOINT_H_
