#ifndef TE_SIM_SIM_SLICE_H_
#define TE_SIM_SIM_SLICE_H_

#include <cstdint>

#include "te/base/clock.h"
#include "te/core/rail_model.h"
#include "te/transport/slice.h"

namespace te::sim {

// What breaks when a slice is lost: those that follow it there are given back
// together with it.
struct QueuePair {
  MonotonicTime breaks_at;
};

// A slice, and where it is.
struct SimSlice : Slice {
  // Hosts: whose slice it is, and the other one.
  uint32_t initiator = 0;
  uint32_t peer = 0;
  // The number of the initiator's rail set.
  uint32_t rail_set = 0;
  QueuePair* queue_pair = nullptr;
  // When its last byte leaves the sender.
  MonotonicTime sent_at;
  // From RailScheduler::Posted.
  RailModel::Mark mark;
};

}  // namespace te::sim

#endif  // TE_SIM_SIM_SLICE_H_
