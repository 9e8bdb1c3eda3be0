#ifndef TE_SIM_RAIL_SET_H_
#define TE_SIM_RAIL_SET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "te/sim/event_queue.h"
#include "te/sim/network.h"
#include "te/sim/rail_policy.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

// What the engine of one host has for one peer: slices that wait, and rails.
// Posts what its policy says, and posts again what was lost.
class RailSet {
 public:
  RailSet(uint32_t number, uint32_t initiator, uint32_t peer,
          std::unique_ptr<RailPolicy> policy, Network& network,
          EventQueue& events);
  RailSet(const RailSet&) = delete;
  RailSet& operator=(const RailSet&) = delete;

  uint32_t initiator() const { return initiator_; }
  // Slices that were lost.
  uint64_t lost() const { return lost_; }

  // Slices of type SimSlice, whose owners get them back.
  void Submit(SliceList slices);

  // --- Events. ---

  void Done(SimSlice& slice);
  void Lost(SimSlice& slice);
  void Wake();
  void SetUsable(size_t rail, bool usable);

 private:
  void Pump();

  const uint32_t number_;
  const uint32_t initiator_;
  const uint32_t peer_;
  const std::unique_ptr<RailPolicy> policy_;
  Network& network_;
  EventQueue& events_;
  // Of each rail.
  std::vector<QueuePair> queue_pairs_;
  bool wake_comes_ = false;
  uint64_t lost_ = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_RAIL_SET_H_
