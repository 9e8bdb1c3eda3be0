#ifndef TE_SIM_SCHEDULER_POLICY_H_
#define TE_SIM_SCHEDULER_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "te/base/clock.h"
#include "te/core/rail_scheduler.h"
#include "te/core/short_traffic.h"
#include "te/core/slice_queue.h"
#include "te/sim/rail_policy.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

// What the engine does.
class SchedulerPolicy final : public RailPolicy {
 public:
  // `link_rates`: of the host's NICs, in bytes per second. `short_traffic`: of
  // the host.
  SchedulerPolicy(const std::vector<double>& link_rates,
                  const RailScheduler::Options& options,
                  std::shared_ptr<ShortTraffic> short_traffic);

  void Submit(SliceList slices) override;
  SimSlice* Next(MonotonicTime now) override;
  bool waiting() const override { return !queue_.empty(); }
  void Completed(const SimSlice& slice, MonotonicTime now) override;
  void Failed(const SimSlice& slice, MonotonicTime now) override;
  void SetUsable(size_t rail, bool usable) override;

 private:
  SliceQueue queue_;
  RailScheduler scheduler_;
};

}  // namespace te::sim

#endif  // TE_SIM_SCHEDULER_POLICY_H_
