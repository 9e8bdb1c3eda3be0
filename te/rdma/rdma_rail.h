#ifndef TE_RDMA_RDMA_RAIL_H_
#define TE_RDMA_RDMA_RAIL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/baton.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/task_queue.h"
#include "te/rdma/endpoint.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/peer_channel.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/transport.h"

namespace te::rdma {

// What rails use of their transport, which outlives their use of it: until
// Close has returned.
struct RailServices {
  const RdmaOptions& options;
  // This engine's, in the order of its keys.
  absl::Span<const std::unique_ptr<NicUnit>> nics;
  // Which of them serve which memory; knows them by their names.
  const PriorityMatrix& matrix;
  const MemoryRegions& memory;
  EndpointStore& endpoints;
  // For what waits for nobody; for what waits for peers; and for what does so
  // and matters least.
  TaskQueue& local_tasks;
  TaskQueue& handshakes;
  TaskQueue& farewells;
};

// Everything that goes to one peer by RDMA: endpoints between pairs of NICs,
// made when they are needed, over which slices are spread. Thread-safe.
//
// An endpoint whose connection breaks gives back what was on it once the peer
// has confirmed that its side is gone too, so that nothing late can arrive;
// other endpoints go on. If the peer cannot be asked, or no endpoint is left,
// the rail has failed as a whole.
class RdmaRail final : public te::Rail,
                       private Endpoint::Host,
                       public std::enable_shared_from_this<RdmaRail> {
 public:
  // Makes sure that at least one endpoint works. Blocks until `deadline`.
  static absl::StatusOr<std::shared_ptr<RdmaRail>> Create(
      const RailServices& services, const PeerIdentity& peer, uint64_t rail_id,
      std::shared_ptr<PeerChannel> channel, MonotonicTime deadline);
  // See Transport::Fence.
  static absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                            PeerChannel& channel, MonotonicTime deadline);
  ~RdmaRail() override;

  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  void BeginPolling() override;
  void EndPolling() override;
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  void Close(const absl::Status& why) override;
  absl::Status health() const override;
  std::string name() const override;

  // The device of `nic` has changed: what cannot be used any more is given up,
  // what can be used again is tried at once.
  void OnDeviceChange(const NicUnit& nic);
  // Looks for work requests that take too long; asks peers for a sign of life
  // from which none has come for long; closes endpoints that nobody uses.
  void Sweep(MonotonicTime now);

 private:
  enum class State {
    // There is no connection; one may be made from `retry_at` on.
    kClosed,
    kOpening,
    kOpen,
    // It is broken, or was evicted, and not yet given up by both sides.
    kBroken,
  };
  struct Lane {
    std::unique_ptr<Endpoint> endpoint;
    State state = State::kClosed;
    // In a row.
    int failures = 0;
    MonotonicTime retry_at;
    // Until when a broken connection may give back its work requests.
    MonotonicTime flush_deadline;
    // What it has given back, until the peer has given it up too.
    SliceList held;
    // What Sweep has seen: how much had completed, and since when no more has.
    uint64_t completed = 0;
    MonotonicTime last_completion;
    MonotonicTime last_use;
    // Since when it is open.
    MonotonicTime opened_at;
    // What completes next is a probe.
    bool probed = false;
    // The peer may have something of it.
    bool known_to_peer = false;
    // While it is being opened: what for.
    EndpointStore::Need need = EndpointStore::Need::kRequired;
  };
  // Slices that the same NICs are near to, in order.
  struct Class {
    const PriorityMatrix::Row* row = nullptr;
    // Of each lane: whether its NIC is one of them.
    std::vector<bool> preferred;
    SliceList pending;
    // Whether the current Fill has added some to lanes.
    bool filled = false;
  };

  RdmaRail(const RailServices& services, PeerIdentity peer, uint64_t rail_id,
           std::shared_ptr<PeerChannel> channel);

  static MonotonicTime In(Duration time);

  // --- Connections: rdma_rail_opening.cc. ---
  absl::Status OpenFirst(MonotonicTime deadline);
  absl::Status OpenNow(size_t lane, MonotonicTime deadline);
  void AddLane();
  absl::StatusOr<EndpointStore::Place> TakePlace(size_t lane,
                                                 MonotonicTime deadline);
  absl::StatusOr<std::unique_ptr<Connection>> Handshake(
      size_t lane, EndpointStore::Place place, MonotonicTime deadline);
  absl::StatusOr<HandshakeResponse> Exchange(size_t lane,
                                             std::optional<EndpointOffer> offer,
                                             MonotonicTime deadline);
  absl::Status FenceAfter(const absl::Status& failure);
  absl::Status CheckNics(size_t lane, std::unique_ptr<Connection>& connection);
  absl::Status AwaitProof(Endpoint& endpoint, MonotonicTime deadline);
  void TellWhoAwaitsProof();
  void Open(size_t lane);
  void Install(Lane& lane, std::unique_ptr<Connection> connection)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  absl::Status Connect(size_t lane, EndpointStore::Place place,
                       MonotonicTime deadline,
                       std::unique_ptr<Connection>& connection);

  // --- Their end: rdma_rail.cc. ---
  void Recover(size_t lane);
  void Drain(size_t lane);
  void TellPeer(size_t lane);
  bool Flushed(Lane& lane, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void CloseLane(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  // The next attempt comes the later, the more have failed.
  static void CountFailure(Lane& lane);
  void SetFailed(const absl::Status& why);
  void BreakAll(const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Fail(const absl::Status& why);
  bool RetireLanes(MonotonicTime deadline);
  void SayGoodbye();

  // --- Data path: rdma_rail_datapath.cc. ---
  void Drive();
  void Sort(SliceList& wrong) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Fill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  bool FillClass(Class& of) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void RingAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  Class& ClassOf(const Slice& slice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  Lane* LaneFor(const Class& of, const Slice& slice)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void WantLane(const Class& of, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  static bool CanOpen(const Lane& lane, MonotonicTime now);
  static bool IsOnTrial(const Lane& lane);
  static bool Serves(const Lane& lane);
  bool HasHope(MonotonicTime now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  bool HasPending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  SliceList TakePending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);

  void FinishAll(SliceList slices, const absl::Status& status) override;
  void OnRoom() override;
  void OnBroken(Endpoint& endpoint) override;
  void OnEvicted(Endpoint& endpoint) override;
  size_t LaneOf(const Endpoint& endpoint) const;
  void Schedule(TaskQueue& queue, Duration pause,
                void (RdmaRail::*task)(size_t), size_t lane);
  void SweepLane(Lane& lane, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);

  const RailServices services_;
  const PeerIdentity peer_;
  const uint64_t rail_id_;
  const uint64_t session_;
  const std::shared_ptr<PeerChannel> channel_;

  SliceInbox inbox_;
  std::atomic<uint64_t> unfinished_{0};
  // Set by whoever has made room, for the driver to look again.
  std::atomic<bool> room_{false};

  // Of the peer; known, as the number of lanes, since the first handshake.
  size_t remote_nics_ = 0;

  // Who posts.
  Baton driving_;
  // Their endpoints are fixed; the rest is guarded by driving_.
  std::vector<Lane> lanes_;
  std::vector<Class> classes_ ABSL_GUARDED_BY(driving_);
  // Not before then a lane is opened beside one that serves: there was no place
  // for it.
  MonotonicTime next_spare_ ABSL_GUARDED_BY(driving_);

  std::atomic<bool> failed_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> awaiting_proof_{false};
  mutable Mutex mutex_;
  CondVar changed_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
  // Why a lane could not be opened the last time.
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_RDMA_RAIL_H_
