#ifndef TE_RDMA_RESPONDER_TABLE_H_
#define TE_RDMA_RESPONDER_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/responder.h"

namespace te::rdma {

// The target's side of the transport: the queue pairs over which peers reach
// this engine's memory, without any work of its CPU. Thread-safe.
//
// A responder belongs to a lane of a rail of a client: from one of its NICs to
// one that it would like of ours. A new session of the rail, or a new
// connection of the lane, first ends what there was before.
class ResponderTable {
 public:
  // All outlive it.
  ResponderTable(absl::Span<const std::unique_ptr<NicUnit>> nics,
                 const RdmaOptions& options, EndpointStore& endpoints)
      : nics_(nics), options_(options), endpoints_(endpoints) {}

  // Answers a handshake. When it returns, nothing that the client sent over
  // earlier queue pairs of the lane, or over earlier sessions of the rail, can
  // reach memory any more.
  //
  // ABORTED: a newer request has been answered. RESOURCE_EXHAUSTED: too many
  // endpoints. UNAVAILABLE: the NIC cannot be used now. FAILED_PRECONDITION: no
  // GIDs of the two ports can talk to each other.
  absl::StatusOr<HandshakeResponse> Answer(const Incarnation& client,
                                           const HandshakeRequest& request,
                                           MonotonicTime deadline);

  // Ends all of them; see Transport::DisconnectPeers.
  void Clear();

  // Asks those clients for a sign of life from which none has come for
  // `options.keepalive`, and ends what belongs to those that are gone.
  void ProbePeers(MonotonicTime now);

  // How many there are.
  size_t size() const;

 private:
  // Client's NIC, and which of ours it would like.
  using LaneKey = std::pair<uint32_t, uint32_t>;
  struct Lane {
    uint64_t epoch = 0;
    // Of the responder, which stays here until it has ended: whoever needs to
    // know that it has finds it.
    uint64_t session = 0;
    std::shared_ptr<Responder> responder;
  };
  struct Rail {
    uint64_t session = 0;
    std::map<LaneKey, Lane> lanes;
  };
  using RailKey = std::pair<std::string, uint64_t>;
  using Responders = std::vector<std::shared_ptr<Responder>>;

  absl::Status Admit(const RailKey& key, const LaneKey& lane,
                     const HandshakeRequest& request, Responders& ended)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Keep(const RailKey& key, const LaneKey& lane,
                    const HandshakeRequest& request,
                    const std::shared_ptr<Responder>& responder);
  // Which of our NICs answers a client that would like `wanted`, an index: that
  // one, or else one of the client's network, if there is one that works.
  size_t NicFor(size_t wanted, const EndpointOffer& offer) const;
  void End(const Responders& responders);
  Responders All() const;
  void ForgetEmptyRails() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Span<const std::unique_ptr<NicUnit>> nics_;
  const RdmaOptions& options_;
  EndpointStore& endpoints_;

  mutable Mutex mutex_;
  std::map<RailKey, Rail> rails_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma

#endif  // TE_RDMA_RESPONDER_TABLE_H_
