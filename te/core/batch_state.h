#ifndef TE_CORE_BATCH_STATE_H_
#define TE_CORE_BATCH_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/core/buffer_registry.h"
#include "te/core/control_link.h"
#include "te/core/peer.h"
#include "te/core/request.h"
#include "te/metadata/buffer_table.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

// A batch under way: its requests, their slices, and who waits for them.
//
// Lives in a slab and is used again, keeping its storage. While it is set up it
// belongs to the submitting thread; from Launch on it is thread-safe. It is
// finished when every request has ended and the notification, if any, has been
// dealt with.
class BatchState final : public CompletionSink {
 public:
  // What the engine does for its batches.
  class Host {
   public:
    // All requests ended well: deliver the notification, call
    // FinishNotification, and then Unref: the call takes over a reference.
    virtual void SendNotification(BatchState& batch) = 0;
    // Nobody uses the batch any more.
    virtual void Recycle(BatchState& batch) = 0;

   protected:
    ~Host() = default;
  };

  // Requests in a row between the same two buffers, and what they share.
  struct Run {
    BufferRegistry::LocalPin pin;
    // The pinned buffer, for threads other than the one that lets go of the
    // pin.
    BufferId buffer;
    // As AddPeer numbers them.
    size_t peer = 0;
    // In the view of the peer's route, which lasts as long as the batch.
    const BufferDescriptor* remote = nullptr;
    // How to reach it, and how its requests are cut.
    Route::Path path;
    SliceAdvice advice;
    // How many there are; they follow those of the run before.
    size_t slices = 0;
    // Who ends the last one lets go of the pin.
    std::atomic<uint32_t> unfinished_requests{0};
  };

  // --- Set-up. ---

  // Begins anew with so many requests and no slices.
  void Reset(Host& host, uint64_t handle, size_t requests,
             uint32_t max_slice_attempts, MonotonicTime deadline);
  void set_options(const SubmitOptions& options);
  // Begins a run, for the peer that AddPeer gave that index; `remote` is of its
  // route's view. At least one SetRequest follows.
  Run& BeginRun(BufferRegistry::LocalPin pin, size_t peer,
                const BufferDescriptor& remote);
  // Makes request `index`, a later one than those before, a part of the latest
  // run, consisting of `count` slices, which AddSlice appends.
  void SetRequest(size_t index, Run& run, size_t count) {
    run.slices += count;
    Set(run.unfinished_requests, run.unfinished_requests + 1);
    RequestState& request = requests_[index];
    request.run = &run;
    Set(request.unfinished_slices, static_cast<uint32_t>(count));
  }
  // Ends a request before it began.
  void RejectRequest(size_t index, absl::Status why);
  size_t AddPeer(SegmentId segment, std::shared_ptr<Peer> peer,
                 std::shared_ptr<const Route> route);
  std::optional<size_t> FindPeer(SegmentId segment) const;
  const Route& route(size_t peer) const { return *peers_[peer].route; }
  size_t peer_count() const { return peers_.size(); }
  // To be called once, with the total, before the first AddSlice.
  void ReserveSlices(size_t count) { slices_.clear(), slices_.reserve(count); }
  // In the order of the requests. To be filled in, but for the sink.
  Slice& AddSlice() {
    Slice& slice = slices_.emplace_back();
    slice.sink = slice.owner = this;
    slice.deadline = deadline_;
    return slice;
  }
  // Of a request; null if it was rejected.
  const Run* run(size_t index) const { return requests_[index].run; }
  // Posts everything. From here on there are two references: the caller's, and
  // that of what is under way. The batch may be finished when it returns.
  void Launch();

  // --- From here on thread-safe. ---

  bool finished() const { return finished_.load(); }
  // Whether, besides, all who asked for it have been told: from here on nothing
  // of the caller's is used any more.
  bool settled() const { return settled_.load(); }
  bool request_finished(size_t index) const {
    return requests_[index].finished.load();
  }
  size_t size() const { return size_; }
  RequestResult result(size_t index) const;
  // The first request's that failed, by index.
  absl::Status status() const;
  absl::Status notification_status() const;

  // Wait until `done` holds, which is one of those above; false when
  // `deadline` has passed first. Moves the data along meanwhile, until there
  // has been no progress for as long as one looks for the peers' answers.
  bool Wait(absl::FunctionRef<bool()> done, MonotonicTime deadline);

  // Ends what has not been sent yet with CANCELLED; the rest finishes.
  void Cancel();

  // Ends everything soon with `why`, by whatever means: called again until the
  // batch is finished.
  void Abort(const absl::Status& why);
  bool aborted() const { return aborted_.load(); }
  MonotonicTime deadline() const { return deadline_; }
  // The error of a batch that has passed its deadline.
  absl::Status DeadlineError() const;
  bool Uses(BufferId buffer) const;

  const std::optional<Notification>& notification() const {
    return notification_;
  }
  // The engine that the data went to, and the link to it: not to a successor.
  const Incarnation& target() const {
    return peers_.front().route->view->descriptor()->incarnation;
  }
  ControlLink& link() const { return *peers_.front().route->link; }
  // The first call counts; later ones do nothing.
  void FinishNotification(absl::Status status);

  // Lets go of everything that the batch shares, and of storage for more than
  // `kept` slices or requests, for the pool; returns the handle it was given.
  uint64_t Vacate(size_t kept);
  size_t slice_count() const { return slices_.size(); }

  // References: the handle's, that of what is under way, and passing ones.
  // TryRef fails when nobody uses the batch.
  bool TryRef();
  void Unref();

  void Done(Slice& slice, absl::Status status) override;

 private:
  struct RequestState {
    // Null if it was rejected.
    Run* run = nullptr;
    std::atomic<uint32_t> unfinished_slices{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<bool> finished{false};
    // Set by the first slice that fails; read once `finished`.
    std::atomic<bool> failed{false};
    absl::Status status;
  };
  struct PeerUse {
    SegmentId segment;
    std::shared_ptr<Peer> peer;
    std::shared_ptr<const Route> route;
  };

  // During set-up nobody else looks; Launch publishes what was set.
  template <typename T>
  static void Set(std::atomic<T>& variable, T value) {
    variable.store(value, std::memory_order_relaxed);
  }
  void OnFailure(Slice& slice, absl::Status status);
  bool MayRetry(const Slice& slice, const absl::Status& status) const;
  // Whether slices may be under way to that peer.
  bool UsesPeer(size_t peer) const;
  void FinishSlice(RequestState& request);
  void FinishRequest();
  void Finish();
  void Fail(RequestState& request, absl::Status status);
  void WakeSleepers();
  // How a time of polling has ended.
  enum class Look {
    kDone,
    kLeft,    // to other threads, which drive all the rails, or to the deadline
    kInVain,  // nothing came any more
  };
  Look Poll(absl::FunctionRef<bool()> done, MonotonicTime deadline,
            MonotonicTime& last_progress);
  bool PollRails(bool& busy);
  bool Sleep(absl::FunctionRef<bool()> done, MonotonicTime deadline);
  Duration spin_time() const;

  Host* host_ = nullptr;
  uint64_t handle_ = 0;
  uint32_t max_slice_attempts_ = 0;
  MonotonicTime deadline_;
  std::optional<Notification> notification_;
  std::function<void()> on_finished_;
  int event_fd_ = -1;

  size_t size_ = 0;
  size_t capacity_ = 0;
  std::unique_ptr<RequestState[]> requests_;
  // As many at most.
  std::unique_ptr<Run[]> runs_;
  size_t run_count_ = 0;
  std::vector<Slice> slices_;
  std::vector<Slice*> group_;
  std::vector<PeerUse> peers_;

  std::atomic<uint32_t> references_{0};
  std::atomic<size_t> unfinished_requests_{0};
  // Whether any request has failed.
  std::atomic<bool> failed_{false};
  std::atomic<bool> finished_{false};
  std::atomic<bool> settled_{false};
  std::atomic<bool> aborted_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> awaiting_notification_{false};

  std::atomic<int> sleepers_{0};
  mutable Mutex mutex_;
  CondVar changed_;
  absl::Status abort_status_ ABSL_GUARDED_BY(mutex_);
  absl::Status notification_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_BATCH_STATE_H_
