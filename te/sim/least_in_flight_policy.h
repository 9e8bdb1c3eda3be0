#ifndef TE_SIM_LEAST_IN_FLIGHT_POLICY_H_
#define TE_SIM_LEAST_IN_FLIGHT_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "te/base/clock.h"
#include "te/sim/rail_policy.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

// Slices in order, each when there is room for it over the rail with the fewest
// bytes under way: late like the engine, but without an idea of the rails.
class LeastInFlightPolicy final : public RailPolicy {
 public:
  // `window`: bytes under way on a rail at most, but a slice in any case.
  LeastInFlightPolicy(size_t rails, uint64_t window)
      : window_(window), rails_(rails) {}

  void Submit(SliceList slices) override;
  SimSlice* Next(MonotonicTime now) override;
  bool waiting() const override { return !queue_.empty(); }
  void Completed(const SimSlice& slice, MonotonicTime now) override;
  void Failed(const SimSlice& slice, MonotonicTime now) override;
  void SetUsable(size_t rail, bool usable) override;

 private:
  struct Rail {
    uint64_t in_flight = 0;
    bool usable = true;
  };

  const uint64_t window_;
  SliceList queue_;
  std::vector<Rail> rails_;
  // Of equals it is the next one's turn.
  size_t cursor_ = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_LEAST_IN_FLIGHT_POLICY_H_
