#ifndef TE_RDMA_RDMA_SESSION_H_
#define TE_RDMA_RDMA_SESSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/task_queue.h"
#include "te/rdma/connection.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/rdma_rail.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/peer_channel.h"
#include "te/transport/transport.h"

namespace te::rdma {

// What sessions use of their transport, which outlives their use of it: until
// Close has returned.
struct SessionServices {
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

// Everything that goes to one peer by RDMA: rails between pairs of NICs, whose
// connections it makes and ends. Its rails own it together. Thread-safe.
//
// A rail whose connection breaks gives back what was on it once the peer has
// confirmed that its side is gone too, so that nothing late can arrive; other
// rails go on. If the peer cannot be asked, the session has failed as a whole.
class RdmaSession final : private RdmaRail::Session,
                          public std::enable_shared_from_this<RdmaSession> {
 public:
  // Makes sure that at least one rail works. Blocks until `deadline`.
  static absl::StatusOr<std::shared_ptr<RdmaSession>> Create(
      const SessionServices& services, const PeerIdentity& peer,
      uint64_t rail_id, std::shared_ptr<PeerChannel> channel,
      MonotonicTime deadline);
  // See Transport::Fence.
  static absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                            PeerChannel& channel, MonotonicTime deadline);
  ~RdmaSession();

  // In the order of the lanes, with the session for owner.
  Rails rails();

  // See RdmaRail::OnDeviceChange and Sweep.
  void OnDeviceChange(const NicUnit& nic);
  void Sweep(MonotonicTime now);

 private:
  using Need = EndpointStore::Need;

  RdmaSession(const SessionServices& services, PeerIdentity peer,
              uint64_t rail_id, std::shared_ptr<PeerChannel> channel);

  static MonotonicTime In(Duration time);

  // --- Connections: rdma_session_opening.cc. ---
  absl::Status OpenFirst(MonotonicTime deadline);
  absl::Status OpenNow(RdmaRail& rail, MonotonicTime deadline);
  // When the next lane's turn comes, if all of them must be tried by then.
  MonotonicTime ShareOf(const RdmaRail& rail, MonotonicTime deadline) const;
  void AddRail();
  absl::StatusOr<EndpointStore::Place> TakePlace(RdmaRail& rail, Need need,
                                                 MonotonicTime deadline);
  absl::StatusOr<std::unique_ptr<Connection>> Handshake(
      RdmaRail& rail, EndpointStore::Place place, MonotonicTime deadline);
  absl::StatusOr<HandshakeResponse> Exchange(const RdmaRail& rail,
                                             std::optional<EndpointOffer> offer,
                                             MonotonicTime deadline);
  absl::Status FenceAfter(const absl::Status& failure, MonotonicTime deadline);
  absl::Status CheckNics(RdmaRail& rail,
                         std::unique_ptr<Connection>& connection);
  absl::Status Connect(RdmaRail& rail, EndpointStore::Place place,
                       MonotonicTime deadline,
                       std::unique_ptr<Connection>& connection);
  void Open(RdmaRail& rail, Need need);
  void OpenSpare(RdmaRail& rail) { Open(rail, Need::kSpare); }
  void OpenRequired(RdmaRail& rail) { Open(rail, Need::kRequired); }
  void ScheduleOpening(RdmaRail& rail, Need need) override;
  bool HasReadyRailBeside(const RdmaRail& rail) const override;

  // --- Their end: rdma_session.cc. ---
  void OnBroken(RdmaRail& rail) override;
  void OnEvicted(RdmaRail& rail) override;
  void Recover(RdmaRail& rail);
  void Drain(RdmaRail& rail);
  void TellPeer(RdmaRail& rail);
  absl::Status health() const;
  void Fail(const absl::Status& why);
  void Close(const absl::Status& why) override;
  void SayGoodbye();
  void Schedule(TaskQueue& queue, Duration pause,
                void (RdmaSession::*task)(RdmaRail&), RdmaRail& rail);

  const SessionServices services_;
  const PeerIdentity peer_;
  const uint64_t rail_id_;
  // By which the peer knows it.
  const uint64_t session_;
  const std::shared_ptr<PeerChannel> channel_;

  // Of the peer; known, as the number of rails, since the first handshake.
  size_t remote_nics_ = 0;
  // By lane.
  std::vector<std::unique_ptr<RdmaRail>> rails_;

  std::atomic<bool> failed_{false};
  std::atomic<bool> closed_{false};
  mutable Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_RDMA_SESSION_H_
