#ifndef TE_SIM_RAIL_POLICY_H_
#define TE_SIM_RAIL_POLICY_H_

#include <cstddef>

#include "te/base/clock.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

// Which slice goes next to a peer, and over which rail: what is compared. All
// slices are of type SimSlice.
class RailPolicy {
 public:
  virtual ~RailPolicy() = default;

  // They wait from now on.
  virtual void Submit(SliceList slices) = 0;
  // Takes the slice that is to be posted now, and sets its rail; null: wait.
  virtual SimSlice* Next(MonotonicTime now) = 0;
  // Whether any slice waits.
  virtual bool waiting() const = 0;
  // Of a slice that Next has returned.
  virtual void Completed(const SimSlice& slice, MonotonicTime now) = 0;
  virtual void Failed(const SimSlice& slice, MonotonicTime now) = 0;
  // What the host knows of its own port.
  virtual void SetUsable(size_t rail, bool usable) = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_RAIL_POLICY_H_
