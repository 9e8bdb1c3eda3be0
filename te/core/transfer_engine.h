#ifndef TE_CORE_TRANSFER_ENGINE_H_
#define TE_CORE_TRANSFER_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/nic_preference.h"
#include "te/base/task_queue.h"
#include "te/core/allocated_buffers.h"
#include "te/core/batch.h"
#include "te/core/batch_pool.h"
#include "te/core/buffer_registry.h"
#include "te/core/control_link.h"
#include "te/core/deadline_keeper.h"
#include "te/core/engine_options.h"
#include "te/core/notification_inbox.h"
#include "te/core/notification_outbox.h"
#include "te/core/page_size_hint.h"
#include "te/core/request.h"
#include "te/core/segment_publisher.h"
#include "te/core/segment_table.h"
#include "te/core/short_traffic.h"
#include "te/grpc/server.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_directory.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"
#include "te/metadata/transport_keys.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/control_server.h"
#include "te/topology/memory_placement.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/local_memory.h"
#include "te/transport/transport.h"

namespace te {

// What an engine is put together from; te/transfer_engine.h does so.
struct EngineParts {
  // How segments are found and published.
  std::unique_ptr<SegmentResolver> resolver;
  // Where to listen for peers; the incarnation is the engine's own.
  GrpcServerOptions control = {.name = "control"};
  // What peers are told, with the port that was found.
  std::string advertised_host;
  // As others look the segment up; empty means advertised host and port.
  std::string segment_name;
  HostIdentity host;
  // Which NICs are near to which memory; may be empty.
  std::map<std::string, NicPreference> topology;
  // How to find out where registered memory lies, and on what pages.
  PlacementOptions placement;
  // Each is called once; the transports are used in this order. Null: it cannot
  // be used here, and the engine goes on without it.
  std::vector<std::function<absl::StatusOr<std::unique_ptr<Transport>>(
      const Incarnation&, ExposedMemory&)>>
      transports;
};

// What an engine is doing, for people.
struct EngineStatus {
  struct Segment {
    std::string name;
    // The rail in use; empty if there is none.
    std::string rail;
    // The transports that would have come first, or that do not reach all of
    // its memory, each with the reason.
    std::vector<std::string> passed_over;
    // How often it has been connected to with such a reason that should not be:
    // not that it is on another host.
    uint64_t downgrades = 0;
    absl::Status health;
  };
  std::string segment_name;
  Incarnation incarnation;
  std::string control_address;
  std::vector<std::string> transports;
  std::vector<Segment> segments;
  size_t buffers = 0;
  size_t batches_in_use = 0;
  size_t slices_in_use = 0;
};

// Moves bytes between registered memory of this process and segments of others.
//
// Thread-safe. Submit, and everything on a Batch, neither block (but for Wait)
// nor do control-plane I/O; the other methods may do both and say for how long.
//
// Destroying the engine ends what is under way with CANCELLED, lets peers go,
// withdraws the segment, frees the registered memory for reuse, and what it has
// allocated itself. No other method may be running then. It waits for attempts
// to connect to peers that are under way, connect_timeout at most.
class TransferEngine final : private ControlHandler {
 public:
  static absl::StatusOr<std::unique_ptr<TransferEngine>> Create(
      const EngineOptions& options, EngineParts parts);
  ~TransferEngine() override;

  // Makes memory usable for requests of this engine, and as `access` says for
  // peers, who see it when they open or refresh the segment, or when the
  // metadata store tells them. Takes as long as its transports take to pin it.
  // The log says once if large memory lies on small pages, which shared memory
  // moves more slowly.
  absl::StatusOr<BufferId> RegisterMemory(const MemoryRegion& region);
  // All or none, and published at once.
  absl::StatusOr<std::vector<BufferId>> RegisterMemory(
      absl::Span<const MemoryRegion> regions);

  // Refuses new uses of the buffer, lets those under way finish, and returns
  // when there are none and the transports have let go of it. What has not
  // finished within `timeout` is cut off, with its connections: also then
  // nothing touches the memory after the return. But kDeadlineExceeded says
  // that it must not be freed: a process of this host was stopped while it was
  // copying, and copies on when it continues. Call again when it has.
  // kNotFound: no such buffer (any more). kInvalidArgument: the memory is of
  // AllocateMemory.
  absl::Status UnregisterMemory(BufferId id, Duration timeout);

  // Allocates zeroed memory and registers it, as RegisterMemory does. Other
  // processes of this host can map it, and huge pages are taken where there are
  // some, so that shared memory moves it faster than any other. All of it is
  // there on return, which takes a second for some GiB. It is the engine's:
  // FreeMemory frees it, or the end of the engine, and then it must not be
  // touched any more. Children of a fork share it, and do not get copies.
  //
  // kInvalidArgument: no length, or a location that is no NUMA node of this
  // machine. kPermissionDenied: the container may not choose nodes.
  // kResourceExhausted: there is not so much memory, or there are no
  // huge pages that are required, or max_buffers is reached. And the errors of
  // RegisterMemory.
  absl::StatusOr<AllocatedMemory> AllocateMemory(
      const AllocationRequest& request);

  // Does what UnregisterMemory does, and frees memory of AllocateMemory. After
  // kDeadlineExceeded it is still allocated, and takes no new uses; call again.
  // kNotFound: no such buffer (any more), perhaps since another caller has
  // freed it. kInvalidArgument: the memory is of RegisterMemory.
  absl::Status FreeMemory(BufferId id, Duration timeout);

  // Finds a segment and connects to it, within `timeout`; without I/O if that
  // has been done. Buffers that the peer registers later are seen when the
  // metadata store has told of them, mostly within milliseconds, or after
  // RefreshSegment; without a store only then. Opening a segment whose peer has
  // restarted heals it, for everybody who has it open. Each Open needs a Close.
  absl::StatusOr<SegmentId> OpenSegment(absl::string_view name,
                                        Duration timeout);
  // Requests on the segment that are still under way end with CANCELLED when
  // the last one closes it.
  absl::Status CloseSegment(SegmentId id);
  // Looks again which buffers the segment has.
  absl::Status RefreshSegment(SegmentId id, Duration timeout);
  // The segment as it was when it was opened or refreshed last.
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> DescribeSegment(
      SegmentId id) const;

  // Begins a batch of transfers. An error means that nothing was begun: no
  // requests, or a limit of the options reached. A request that is wrong in
  // itself ends at once with its own status, and the others go on.
  //
  // Requests of a batch may be done in any order, and in pieces. Local memory
  // belongs to the engine until the request has ended.
  absl::StatusOr<Batch> Submit(absl::Span<const Request> requests,
                               const SubmitOptions& options = {});

  // As others open this engine's segment.
  const std::string& segment_name() const { return segment_name_; }

  // The oldest notification that has come in; waits for one until `deadline`.
  std::optional<ReceivedNotification> TakeNotification(MonotonicTime deadline);

  EngineStatus Status() const;

 private:
  TransferEngine(const EngineOptions& options, const Incarnation& incarnation,
                 EngineParts parts);

  // What peers ask of the control server.
  absl::StatusOr<VersionedSegment> GetSegment(MonotonicTime deadline) override;
  absl::StatusOr<std::string> Handshake(const ControlHandshake& handshake,
                                        MonotonicTime deadline) override;
  absl::Status Notify(const ControlNotification& notification,
                      MonotonicTime deadline) override;

  absl::Status Start();
  absl::Status StartControlServer();
  VersionedSegment DescribeSelf();
  void OnSegmentChange(const std::string& name);
  absl::StatusOr<BufferId> RegisterBuffer(const MemoryRegion& region, int fd);
  bool UsesSharedMemory() const;
  absl::StatusOr<TransportKeys> RegisterWithTransports(
      const LocalMemory& memory);
  void UnregisterFromTransports(uint32_t slot, size_t count);
  absl::Status ReleaseAndPublish(BufferId id, Duration timeout);
  absl::Status Release(BufferId id, Duration timeout);
  absl::Status ReleaseBy(MonotonicTime deadline, BufferId id);
  absl::Status ReleaseFromTransports(uint32_t slot, MonotonicTime deadline);
  absl::Status UndoRegistration(absl::Span<const BufferId> ids,
                                const absl::Status& why);
  void AbortUsers(BufferId id);
  void DrainBatches();

  const EngineOptions options_;
  const Incarnation incarnation_;
  const uint64_t started_at_;  // see SegmentDescriptor
  const EngineParts parts_;
  // Fixed once Create has returned; peers are served from then on.
  std::string segment_name_;
  std::string control_address_;
  std::atomic<bool> serving_{false};
  std::atomic<bool> closing_{false};

  SegmentDirectory directory_;
  const ControlLinkFactory make_link_;
  BufferRegistry buffers_;
  // Goes after the transports, which may use it until their end.
  AllocatedBuffers allocated_;
  PageSizeHint page_size_hint_;
  NotificationInbox inbox_;
  std::vector<std::unique_ptr<Transport>> transports_;
  // For reconnecting alone, which waits for no notification.
  std::unique_ptr<TaskQueue> tasks_;
  // For following what metadata stores tell of open segments.
  std::unique_ptr<TaskQueue> lookups_;
  std::unique_ptr<TaskQueue> timers_;
  const std::shared_ptr<ShortTraffic> short_traffic_ =
      std::make_shared<ShortTraffic>();
  std::unique_ptr<NotificationOutbox> outbox_;
  const std::shared_ptr<BatchPool> batches_;
  std::unique_ptr<DeadlineKeeper> deadlines_;
  SegmentTable segments_;

  // Made once the segment's name is known.
  std::unique_ptr<SegmentPublisher> publisher_;

  std::unique_ptr<ControlServer> server_;
};

}  // namespace te

#endif  // TE_CORE_TRANSFER_ENGINE_H_
