#ifndef TE_TRANSPORT_TRANSPORT_H_
#define TE_TRANSPORT_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/transport/local_memory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/slice.h"

namespace te {

// What a call to Rail::Poll did.
enum class Progress {
  kMoved,  // bytes or completions moved: poll again
  kIdle,   // nothing to do right now
  kBusy,   // another thread is driving the rail: do not spin, sleep
};

// How a request is best cut for a rail, or for several that are as one.
struct SliceAdvice {
  // Bytes of a slice; 0: as many as one likes.
  uint32_t bytes = 0;
  // How many slices can be under way side by side.
  uint32_t rails = 1;
};

// One path to one peer, from a local to a remote NIC. Thread-safe.
//
// Shut-down: Close, after which the rail only refuses; a failed rail closes
// itself. The rail must outlive every call into it, and every slice posted has
// been given back once Close has returned.
class Rail {
 public:
  // What becomes of slices that are posted now.
  enum class State : uint8_t {
    kReady,      // they go out at once
    kIdle,       // once the rail has been set up, which begins with that
    kPreparing,  // once it has been set up, which is under way
    kDown,       // they come back: it does not work, for now
  };

  virtual ~Rail() = default;

  virtual State state() const {
    return health().ok() ? State::kReady : State::kDown;
  }
  // Has an idle rail get ready, without anything posted. Does not block.
  virtual void Prepare() {}
  // Whether its local NIC is among the nearest to such memory.
  virtual bool IsNear(MemoryLocation /*location*/) const { return true; }
  // Bytes per second that the link carries at most; 0 if that is not known.
  virtual uint64_t link_rate() const { return 0; }
  // Whether it is a link, on which what is posted waits for what was before, so
  // that order and amount matter. A copy in memory is none.
  virtual bool is_link() const { return true; }
  virtual SliceAdvice slice_advice() const { return {}; }

  // Takes `slices` over: the sink of each gets it back exactly once. Does not
  // block. One call per group, so that a group shares system calls or
  // doorbells.
  virtual void Post(absl::Span<Slice* const> slices) = 0;

  // Moves what callers of this rail may move, without blocking. A rail makes
  // progress without being polled, at the price of waking a thread of the
  // transport's; a caller that spins here between BeginPolling and EndPolling
  // spares that, for a request alone at least.
  virtual Progress Poll() = 0;
  virtual void BeginPolling() = 0;
  virtual void EndPolling() = 0;

  // Gives back, with `status`, those posted slices for which `matches` holds
  // and of which nothing has been sent yet. The others finish, or fail in
  // Close.
  virtual void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                        const absl::Status& status) = 0;

  // Cuts the rail. Everything posted is given back with `why` before this
  // returns. Must not be called from a sink.
  virtual void Close(const absl::Status& why) = 0;

  // OK, or why this rail does not work any more, and never will.
  virtual absl::Status health() const = 0;
  // Why the state is kDown, where it is; OK if the rail does not know.
  virtual absl::Status why_down() const { return health(); }

  // Why some of the peer's memory cannot be reached, for people; empty if all
  // can. If not, Reaches tells for a buffer, by its key (Slice::remote_key).
  virtual std::string limits() const { return std::string(); }
  virtual bool Reaches(absl::string_view /*key*/) const { return true; }

  // For people: "tcp 127.0.0.1:4000 to 127.0.0.1:5000".
  virtual std::string name() const = 0;
};

// All rails of a transport to one peer, which share an id, and may share their
// end: where one is closed or fails, the others may be closed too.
using Rails = std::vector<std::shared_ptr<Rail>>;

// Whom to connect to.
struct PeerIdentity {
  std::string name;
  Incarnation incarnation;
  // Of the kernel that it runs on (HostIdentity); empty if that is not known.
  std::string boot_id;
};

// One way to move bytes. Thread-safe. Owned by the engine; outlives its rails.
class Transport {
 public:
  virtual ~Transport() = default;

  // As in descriptors, flags and errors: "tcp".
  virtual absl::string_view name() const = 0;

  // Sets rails up with the peer, by `deadline`: at least one, and that is
  // ready; others may be idle. `rail_id` is chosen by the caller, once per
  // lasting relation: connecting again under the same id first makes sure, at
  // the peer, that nothing sent over earlier rails of that id can reach memory
  // any more. Those must be closed. Rails may keep the channel, to be set up
  // again.
  //
  // If it fails, that need not hold: before another transport takes over, Fence
  // is called. kAborted: nothing may be sent to that peer in another way.
  // kNotFound: it never leads to such a peer, which is no fault, as shared
  // memory does not to other hosts.
  virtual absl::StatusOr<Rails> Connect(const PeerIdentity& peer,
                                        uint64_t rail_id,
                                        std::shared_ptr<PeerChannel> channel,
                                        MonotonicTime deadline) = 0;

  // The same without new rails: makes sure, at the peer, that nothing sent over
  // earlier rails of that id, which are closed, can reach memory any more. For
  // who goes on over another transport. By default there is nothing to do:
  // where nothing is under way any more once Rail::Close has returned.
  virtual absl::Status Fence(const PeerIdentity& /*peer*/, uint64_t /*rail_id*/,
                             PeerChannel& /*channel*/,
                             MonotonicTime /*deadline*/) {
    return absl::OkStatus();
  }

  // The other end of Connect and Fence: answers a peer's handshake, whose bytes
  // are not to be trusted.
  virtual absl::StatusOr<std::string> Accept(const Incarnation& client,
                                             absl::string_view request,
                                             MonotonicTime deadline) = 0;

  // Cuts off every peer, so that no access by one is under way any more when
  // this returns. They can connect again. For memory that must be given back
  // although a stalled peer holds it.
  virtual void DisconnectPeers() = 0;

  // Makes memory usable for slices and, as it allows, for peers. Returns what
  // the same transport of a peer needs to reach it, at most kMaxKeyBytes, which
  // the descriptor carries and slices then have; "" if that is nothing. May
  // block for as long as pinning takes. An error says which limit was hit and
  // what to do. By default nothing is needed.
  virtual absl::StatusOr<std::string> RegisterMemory(
      const LocalMemory& /*memory*/) {
    return std::string();
  }
  // No slice of this engine uses the memory any more, and none will. From now
  // on no peer begins to use it, and when this returns OK none is using it any
  // more. kDeadlineExceeded says who is; call again to go on waiting. By
  // default there is nothing to do: UnregisterMemory ends the peers' use.
  virtual absl::Status RevokeAccess(uint32_t /*slot*/,
                                    MonotonicTime /*deadline*/) {
    return absl::OkStatus();
  }
  // The same; when this returns, no peer can reach it either. Called once for
  // each RegisterMemory that succeeded, before the transport is destroyed:
  // after RevokeAccess, unless no peer has been told of the memory, or the
  // transport is about to be destroyed.
  virtual void UnregisterMemory(uint32_t /*slot*/) {}
};

}  // namespace te

#endif  // TE_TRANSPORT_TRANSPORT_H_
