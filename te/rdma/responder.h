#ifndef TE_RDMA_RESPONDER_H_
#define TE_RDMA_RESPONDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/queue_pair.h"
#include "te/rdma/rdma_options.h"

namespace te::rdma {

// The target's end of an endpoint: queue pairs through which a peer reads and
// writes our memory. Nothing is posted on them but probes. Thread-safe; goes
// before its NIC.
class Responder {
 public:
  // Connects as many queue pairs as `offer` has, from the port of `nic`, and
  // adds to `response` what the peer must know to do the same. For errors see
  // ResponderTable::Answer.
  static absl::StatusOr<std::shared_ptr<Responder>> Create(
      NicUnit& nic, const RdmaOptions& options, EndpointStore::Place place,
      const EndpointOffer& offer, HandshakeResponse& response);

  // Whether the port of `nic` and the peer's look like one network. Those of
  // different planes can talk as far as their GIDs tell, and yet do not reach
  // each other.
  static bool IsInNetworkOf(const NicUnit& nic, const EndpointOffer& offer,
                            const RdmaOptions& options);

  // Both ends, for people.
  const std::string& description() const { return description_; }

  // Asks the peer's NIC for a sign of life, if the last one is older than
  // options.keepalive: a WRITE of no bytes, which needs no memory (InfiniBand
  // Architecture Specification, volume 1, C9-88) and that its CPU does not
  // notice. An error once it has not answered.
  absl::Status Probe(MonotonicTime now);

  // Destroys the queue pairs. When it returns, on whatever thread, nothing that
  // was sent to them can reach memory any more. May be called again.
  void End();

 private:
  Responder(NicUnit& nic, const RdmaOptions& options,
            EndpointStore::Place place)
      : nic_(nic), options_(options), place_(std::move(place)) {}

  absl::Status MakeQueuePairs(const EndpointOffer& offer);
  absl::Status ConnectTo(const EndpointOffer& remote, const Path& path,
                         EndpointOffer& offer);

  NicUnit& nic_;
  const RdmaOptions& options_;
  std::string description_;

  Mutex mutex_;
  EndpointStore::Place place_ ABSL_GUARDED_BY(mutex_);
  // Before the queue pairs.
  CompletionQueueObject completions_ ABSL_GUARDED_BY(mutex_);
  std::vector<QueuePair> pairs_ ABSL_GUARDED_BY(mutex_);
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  MonotonicTime probed_at_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime next_probe_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_RESPONDER_H_
