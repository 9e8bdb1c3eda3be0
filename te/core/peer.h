#ifndef TE_CORE_PEER_H_
#define TE_CORE_PEER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/task_queue.h"
#include "te/core/control_link.h"
#include "te/core/engine_options.h"
#include "te/core/rail_history.h"
#include "te/core/rail_search.h"
#include "te/core/segment_view.h"
#include "te/core/short_traffic.h"
#include "te/core/spin_time.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_directory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/transport.h"

namespace te {

// What peers use of the engine; it outlives them.
struct PeerServices {
  const EngineOptions& options;
  SegmentDirectory& directory;
  // Best first; not empty.
  absl::Span<const std::unique_ptr<Transport>> transports;
  const ControlLinkFactory& make_link;
  // For setting up rails.
  TaskQueue& tasks;
  // For looking up what has changed, which may wait for the metadata store.
  TaskQueue& lookups;
  // For what waits for nobody.
  TaskQueue& timers;
  // To all peers.
  const std::shared_ptr<ShortTraffic>& short_traffic;
};

// How to reach a segment at one moment. Immutable; the rail may have failed.
struct Route {
  std::shared_ptr<const SegmentView> view;
  std::shared_ptr<ControlLink> link;
  // To post to: the one of `rails`, or all of them.
  std::shared_ptr<Rail> rail;
  // Best first.
  std::vector<NamedRail> rails;
  // See FoundRails.
  std::vector<std::string> passed_over;

  // How to reach a buffer, of this view or another one of the same incarnation.
  struct Path {
    uint8_t transport = 0;  // Slice::transport
    absl::string_view key;  // Slice::remote_key
  };
  Path PathTo(
      const BufferDescriptor& buffer ABSL_ATTRIBUTE_LIFETIME_BOUND) const;
};

// A remote segment and the connection to it. Slices whose rail failed wait here
// while a task sets the rail up again. Thread-safe.
//
// Ends by Close, after which every slice has been given back; an attempt to
// connect that is under way then fails. Shared by the segment table, batches
// and its own task.
class Peer : public std::enable_shared_from_this<Peer> {
 public:
  // Slice::attempts of a slice that must not be sent again.
  static constexpr uint32_t kGivenUp = UINT32_MAX;

  // `rails`: the same for all peers of that name that an engine ever has.
  Peer(std::string name, std::shared_ptr<RailHistory> rails,
       const PeerServices& services);

  const std::string& name() const { return name_; }
  const std::shared_ptr<RailHistory>& rails() const { return rails_; }

  // Makes sure that the peer is connected, by `deadline`: looks the segment up
  // and connects, unless there is a healthy rail. Heals a stale peer. Blocks.
  absl::Status Open(MonotonicTime deadline);
  // Looks the segment up again, for buffers that are new. Blocks.
  absl::Status Refresh(MonotonicTime deadline);
  // The same, soon, by a task, and as long as the peer is the one that it was:
  // the segment has changed. Does not block: may be called from a sink.
  void RefreshSoon();

  // For those who wait for it.
  SpinTime& spin_time() { return spin_time_; }

  // The route for new requests; the error of a peer that is stale or closed.
  absl::StatusOr<std::shared_ptr<const Route>> route() const;

  // Takes over a slice that came back with `why` from the rail of `route`, to
  // send it again to the same incarnation of the peer, and to no other. It may
  // go over another transport, which has another key of `remote`, the buffer
  // that the slice is aimed at; that lasts until the sink has the slice back.
  // Does not block: may be called from a sink. If it cannot be sent, its sink
  // gets it with kGivenUp attempts.
  void Retry(Slice& slice, const BufferDescriptor& remote, const Route& route,
             const absl::Status& why);

  // Gives back, with `status`, the matching slices of which nothing has been
  // sent.
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status);
  // Cuts the rail, so that all that is under way comes back. The next request
  // sets it up again.
  void CutOff(const absl::Status& why);
  void Close(const absl::Status& why);

  // Why slices have been waiting; OK if nothing has failed lately.
  absl::Status last_error() const;
  absl::Status health() const;
  // How often it was connected to with a transport passed over that should have
  // served.
  uint64_t downgrades() const;

 private:
  struct Parked {
    Slice* slice;
    const BufferDescriptor* remote;
  };
  using ParkedSlices = std::vector<Parked>;

  // Connecting is done by one thread at a time.
  absl::Status AwaitTurn(MonotonicTime deadline);
  void EndTurn();

  absl::Status Install(std::shared_ptr<Route> route);
  absl::Status StaleError() const;
  absl::Status OpenFresh(MonotonicTime deadline);
  // Puts what the segment looks like now into the route, whatever rail that has
  // meanwhile.
  void Update(std::shared_ptr<const SegmentDescriptor> descriptor);
  void FollowChanges();
  void ScheduleRefresh(Duration pause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellWorries(const Route& route, const std::string& worries);
  absl::Status Connect(std::shared_ptr<const SegmentDescriptor> descriptor,
                       MonotonicTime deadline);
  std::shared_ptr<const Route> current() const;
  void ScheduleReconnect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reconnect();
  absl::Status RestoreRail(std::shared_ptr<const Route>& tried);
  void SendParked();
  void FailParked(const absl::Status& status);
  ParkedSlices TakeParked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const PeerServices services_;
  const std::shared_ptr<RailHistory> rails_;
  SpinTime spin_time_;

  mutable Mutex mutex_;
  // A thread is looking up or connecting.
  bool connecting_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar turn_ended_;
  std::shared_ptr<const Route> route_ ABSL_GUARDED_BY(mutex_);
  // Not OK: the peer is stale, or was closed; requests are refused with it.
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // For the incarnation of route_.
  ParkedSlices parked_ ABSL_GUARDED_BY(mutex_);
  // A task is scheduled or running.
  bool reconnecting_ ABSL_GUARDED_BY(mutex_) = false;
  int failed_attempts_ ABSL_GUARDED_BY(mutex_) = 0;
  // A task will look the segment up.
  bool refresh_due_ ABSL_GUARDED_BY(mutex_) = false;
  // One is due as soon as there is a route.
  bool refresh_waits_ ABSL_GUARDED_BY(mutex_) = false;
  // Of look-ups in a row, since there was news.
  int failed_refreshes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
  // Why transports were passed over, as the log has it.
  std::string worries_ ABSL_GUARDED_BY(mutex_);
  uint64_t downgrades_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_CORE_PEER_H_
