#ifndef TE_RDMA_EMULATED_FABRIC_OPTIONS_H_
#define TE_RDMA_EMULATED_FABRIC_OPTIONS_H_

#include <cstdint>

#include "te/base/clock.h"

namespace te::rdma::emulated {

// When work requests are carried out.
enum class WireMode {
  // By a thread of the fabric, after the time that bandwidth and latency of the
  // device ask for, by the real clock.
  kThreaded,
  // By EmulatedFabric::Run, as far as the clock has got. Each request at the
  // time it is due at, then in the order of posting: for tests with a fake
  // clock, and repeatable.
  kStepped,
  // Within ibv_post_send; bandwidth and latency do not count. What has to wait
  // all the same, such as a retry, is done by whoever posts or polls after its
  // time, or by Run: so a completion channel does not wake a sleeper then.
  kImmediate,
};

struct FabricOptions {
  // Outlives the fabric. kThreaded needs the real one.
  const Clock* clock = &RealClock();
  WireMode mode = WireMode::kThreaded;
  // Of lost packets.
  uint64_t seed = 1;
  // Off, with kImmediate alone: RDMA READ and WRITE complete without a byte
  // being copied or a key being checked, and without any lock that queue pairs
  // share. It shows what the code above costs by itself.
  bool copy = true;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_FABRIC_OPTIONS_H_
