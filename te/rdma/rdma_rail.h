#ifndef TE_RDMA_RDMA_RAIL_H_
#define TE_RDMA_RDMA_RAIL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/baton.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/rdma/connection.h"
#include "te/rdma/endpoint.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/transport.h"

namespace te::rdma {

// One lane to a peer: from a NIC of this engine to one of the peer's, over an
// endpoint whose connection is made when there is use for it. Thread-safe.
//
// It belongs to a session, with the other lanes to that peer, which makes
// connections and has the peer end its side of them; Close and failures as a
// whole are the session's. The session, the NIC and whatever else is passed
// are used until it has closed.
//
//   Install -> it breaks, or is evicted -> EndBroken or EndEvicted until kDone
//   -> Release, once the peer has ended its side -> Install
class RdmaRail final : public te::Rail, private Endpoint::Host {
 public:
  // Its functions are called while the rail is being driven, and must not
  // block, but for Close.
  class Session {
   public:
    // Has a connection made: ends in Install or OpeningFailed.
    virtual void ScheduleOpening(RdmaRail& rail, EndpointStore::Need need) = 0;
    virtual void OnBroken(RdmaRail& rail) = 0;
    virtual void OnEvicted(RdmaRail& rail) = 0;
    // Whether another lane works.
    virtual bool HasReadyRailBeside(const RdmaRail& rail) const = 0;
    virtual void Close(const absl::Status& why) = 0;

   protected:
    ~Session() = default;
  };
  struct Parts {
    Session& session;
    // The peer's name.
    const std::string& peer;
    const RdmaOptions& options;
    // Knows the NIC by its name.
    const PriorityMatrix& matrix;
    const MemoryRegions& memory;
  };
  // How far the end of a connection is.
  enum class Ending {
    // It does not end, or somebody else has seen to it.
    kNone,
    // Something is still under way on it: call again, after a while.
    kUnderWay,
    // The peer is to be told.
    kDone,
  };

  // Lane number `index`, over `nic`, which is number `local` of this engine's.
  RdmaRail(const Parts& parts, NicUnit& nic, size_t local, size_t index);

  State state() const override;
  void Prepare() override;
  bool IsNear(MemoryLocation location) const override;
  uint64_t link_rate() const override { return link_rate_; }
  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  void BeginPolling() override { endpoint_.BeginPolling(); }
  void EndPolling() override { endpoint_.EndPolling(); }
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  // Of all lanes.
  void Close(const absl::Status& why) override { session_.Close(why); }
  absl::Status health() const override;
  absl::Status why_down() const override;
  std::string name() const override;

  // --- For the session. ---

  size_t index() const { return index_; }
  size_t local() const { return endpoint_.local(); }
  Endpoint& endpoint() { return endpoint_; }
  // Whether slices go out at once, unless the rail has failed. Asks no other
  // rail, as state may.
  bool Serves() const {
    return phase_.load() == Phase::kOpen && endpoint_.usable() &&
           endpoint_.proven();
  }
  // Before anything is posted: how many NICs the peer has, for each of which
  // slices must have a key.
  void SetRemoteNics(size_t count);
  // Takes the connection, unless the rail has failed. It serves once a first
  // probe has come back.
  void Install(std::unique_ptr<Connection>& connection);
  // There is none. `lacks_place`: that is no fault of the lane's.
  void OpeningFailed(const absl::Status& why, bool lacks_place);
  // Breaks the connection if it leads nowhere. By one thread at a time.
  absl::Status AwaitProof(MonotonicTime deadline);
  // Ends the connection here, if it is broken, or evicted.
  Ending EndBroken();
  Ending EndEvicted();
  // The peer has ended its side too: gives back what was on the connection.
  void Release();
  // From now on it only refuses. Breaks the connection.
  void Fail(const absl::Status& why);
  // Of one that has failed; returns whether something has yet to be given back.
  // Waits for nothing after `deadline`.
  bool EndFailed(MonotonicTime deadline);
  bool has_unfinished() const { return unfinished_ > 0; }
  // Whether the peer may have something of the lane.
  void MarkKnownToPeer() { known_to_peer_ = true; }
  bool TakeKnownToPeer() { return known_to_peer_.exchange(false); }
  // The NIC's device has changed: what cannot be used any more is given up,
  // what can be used again is tried at once.
  void OnDeviceChange();
  // Looks for work requests that take too long; asks the peer for a sign of
  // life if none has come for long; closes what nobody uses.
  void Sweep(MonotonicTime now);

 private:
  enum class Phase : uint8_t {
    // There is no connection; one may be made from retry_at_ on.
    kClosed,
    kOpening,
    kOpen,
    // It is broken, and its work requests are coming back.
    kBroken,
    // It has ended here, and the peer has yet to give it up.
    kRetired,
  };

  // --- Connections: rdma_rail.cc. ---
  bool CanOpen(MonotonicTime now) const;
  bool NicIsUsable() const { return endpoint_.nic().device->usable(); }
  void UpdateLinkRate();
  absl::Status Unproven() const;
  void TellWhoAwaitsProof();
  absl::Status WhyEnded() const;
  void SetLastError(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Flush(MonotonicTime now, SliceList& unsent)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  [[nodiscard]] Endpoint::Remains Retire()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Conclude(Endpoint::Remains remains) ABSL_LOCKS_EXCLUDED(driving_);
  void MarkClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  // The next attempt comes the later, the more have failed.
  void CountFailure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void SweepConnection(MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void OnBroken(Endpoint& endpoint) override;
  void OnEvicted(Endpoint& endpoint) override;

  // --- Data path: rdma_rail_datapath.cc. ---
  bool HaveKeys(absl::Span<Slice* const> slices) const;
  void PostThoseWithKeys(absl::Span<Slice* const> slices);
  void Drive();
  void Send() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  absl::Status AwaitConnection(SliceList& stuck)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  SliceList TakeUnsent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void FinishAll(SliceList slices, const absl::Status& status) override;
  void OnRoom() override;

  Session& session_;
  const std::string peer_;
  const RdmaOptions& options_;
  const PriorityMatrix& matrix_;
  const size_t index_;
  // Also when the NIC is gone.
  const std::string device_;
  Endpoint endpoint_;
  // Of slices; known since the first handshake.
  size_t key_bytes_ = 0;
  std::atomic<uint64_t> link_rate_{0};

  SliceInbox inbox_;
  // Slices, and connections that are being destroyed.
  std::atomic<uint64_t> unfinished_{0};
  // Set by whoever has made room, or changed something else, for the driver to
  // look again.
  std::atomic<bool> look_again_{false};
  // Somebody has use for a connection, beside what is pending.
  std::atomic<bool> wanted_{false};

  // Who posts. What is atomic below is changed by the driver, and read by all.
  Baton driving_;
  std::atomic<Phase> phase_{Phase::kClosed};
  std::atomic<MonotonicTime> retry_at_{MonotonicTime()};
  // Not before then it is opened beside another lane that serves: there was no
  // place for it.
  std::atomic<MonotonicTime> retry_as_spare_at_{MonotonicTime()};
  SliceList pending_ ABSL_GUARDED_BY(driving_);
  // What a connection has given back, until the peer has given it up too.
  SliceList held_ ABSL_GUARDED_BY(driving_);
  // In a row.
  int failures_ ABSL_GUARDED_BY(driving_) = 0;
  // Until when a broken connection may give back its work requests.
  MonotonicTime flush_deadline_ ABSL_GUARDED_BY(driving_);
  MonotonicTime opened_at_ ABSL_GUARDED_BY(driving_);
  // What Sweep has seen: how much had completed, and since when no more has.
  uint64_t completed_ ABSL_GUARDED_BY(driving_) = 0;
  MonotonicTime last_completion_ ABSL_GUARDED_BY(driving_);
  MonotonicTime last_use_ ABSL_GUARDED_BY(driving_);
  // What completes next is a probe.
  bool probed_ ABSL_GUARDED_BY(driving_) = false;

  std::atomic<bool> known_to_peer_{false};
  std::atomic<bool> failed_{false};
  std::atomic<bool> awaiting_proof_{false};
  mutable Mutex mutex_;
  CondVar changed_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  // Why there is no connection.
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_RDMA_RAIL_H_
