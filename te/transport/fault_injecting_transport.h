#ifndef TE_TRANSPORT_FAULT_INJECTING_TRANSPORT_H_
#define TE_TRANSPORT_FAULT_INJECTING_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/transport/forwarding_transport.h"
#include "te/transport/peer_channel.h"
#include "te/transport/transport.h"

namespace te {

// Which calls go wrong, counted from 0 over all rails. Thread-safe.
class FaultScript {
 public:
  enum class Fault {
    kNone,
    // A Connect fails; a Post cuts the rail before anything is sent; a
    // completion comes back as UNAVAILABLE although it was not.
    kFail,
    // Of a completion alone: it comes after the next one, or with Close.
    kDelay,
    // Of a completion alone: it comes with Close, as UNAVAILABLE.
    kDrop,
  };
  enum class Call { kConnect, kPost, kCompletion };

  // Exactly one fault.
  FaultScript(Call call, uint64_t index, Fault fault)
      : call_(call), index_(index), fault_(fault) {}
  // Any call fails, and any completion is delayed, one in `one_in` times. Never
  // drops: nobody might close the rail.
  FaultScript(uint32_t seed, uint32_t one_in)
      : random_(seed), one_in_(one_in) {}

  Fault Next(Call call);
  // How many calls of that kind there were.
  uint64_t count(Call call) const {
    MutexLock lock(mutex_);
    return counts_[static_cast<int>(call)];
  }

 private:
  const Call call_ = Call::kConnect;
  const uint64_t index_ = UINT64_MAX;
  const Fault fault_ = Fault::kNone;
  mutable Mutex mutex_;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
  const uint32_t one_in_ = 0;
  uint64_t counts_[3] ABSL_GUARDED_BY(mutex_) = {};
};

// A transport over another one, which it makes fail by a script. For tests of
// what stands above transports: every fault is one that a transport may have.
class FaultInjectingTransport final : public ForwardingTransport {
 public:
  FaultInjectingTransport(std::unique_ptr<Transport> inner,
                          std::shared_ptr<FaultScript> script)
      : ForwardingTransport(std::move(inner)), script_(std::move(script)) {}

  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override;

 private:
  const std::shared_ptr<FaultScript> script_;
};

}  // namespace te

#endif  // TE_TRANSPORT_FAULT_INJECTING_TRANSPORT_H_
