#ifndef TE_SIM_TRAFFIC_H_
#define TE_SIM_TRAFFIC_H_

#include <cstdint>
#include <vector>

#include "te/base/clock.h"
#include "te/transport/slice.h"

namespace te::sim {

// What one host asks for.
struct Traffic {
  uint32_t initiator = 0;
  // Each batch goes to any one of them.
  std::vector<uint32_t> peers;
  Operation operation = Operation::kWrite;
  // Bytes of a request: each order of magnitude between these as likely as any
  // other.
  uint64_t min_bytes = 64 << 20;
  uint64_t max_bytes = 64 << 20;
  // Of a batch.
  uint32_t requests = 1;
  // So many batches are under way at a time, or else they come by themselves,
  // on average so many per second.
  uint32_t in_flight = 0;
  double per_second = 0;
  // How many in all; 0: without end.
  uint64_t batches = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_TRAFFIC_H_
