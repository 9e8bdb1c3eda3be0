#ifndef TE_SIM_EARLY_POLICY_H_
#define TE_SIM_EARLY_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "te/base/clock.h"
#include "te/sim/rail_policy.h"
#include "te/sim/random.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

// Each slice gets its rail when it is submitted, as in Mooncake: the next one,
// or any one, of those whose port is up. It waits there while too much is under
// way on that rail.
class EarlyPolicy final : public RailPolicy {
 public:
  enum class Order : uint8_t { kRoundRobin, kRandom };

  // `window`: bytes under way on a rail at most, but a slice in any case.
  EarlyPolicy(Order order, size_t rails, uint64_t window, uint64_t seed);

  void Submit(SliceList slices) override;
  SimSlice* Next(MonotonicTime now) override;
  bool waiting() const override { return waiting_ > 0; }
  void Completed(const SimSlice& slice, MonotonicTime now) override;
  void Failed(const SimSlice& slice, MonotonicTime now) override;
  // What waits for a rail that has gone gets another one.
  void SetUsable(size_t rail, bool usable) override;

 private:
  struct Rail {
    SliceList queue;
    uint64_t in_flight = 0;
    bool usable = true;
  };

  // Any, if none is usable.
  size_t Choose();

  const Order order_;
  const uint64_t window_;
  Random random_;
  std::vector<Rail> rails_;
  size_t next_rail_ = 0;
  // Where Next looks first.
  size_t cursor_ = 0;
  size_t waiting_ = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_EARLY_POLICY_H_
