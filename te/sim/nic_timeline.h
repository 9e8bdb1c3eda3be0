#ifndef TE_SIM_NIC_TIMELINE_H_
#define TE_SIM_NIC_TIMELINE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "te/base/clock.h"

namespace te::sim {

// How fast a NIC is at each time: known beforehand, so that it can be said of
// every slice at once when it will be through, whatever happens meanwhile.
class NicTimeline {
 public:
  // Bytes per second; more than 0.
  explicit NicTimeline(double rate);

  // From `from` to before `until` it has only that fraction of its rate; with 0
  // it is cut.
  void Scale(MonotonicTime from, MonotonicTime until, double fraction);

  double RateAt(MonotonicTime time) const;
  // When `bytes` are through whose first is there at `start`; kNoDeadline:
  // never. While the NIC is cut nothing gets on.
  MonotonicTime Finish(MonotonicTime start, uint64_t bytes) const;
  // The first moment of `from` to `to`, both included, in which it is cut.
  std::optional<MonotonicTime> CutDuring(MonotonicTime from,
                                         MonotonicTime to) const;
  // The mean rate of that time, which is not empty.
  double MeanRate(MonotonicTime from, MonotonicTime to) const;

 private:
  // From `from` to the next stage.
  struct Stage {
    MonotonicTime from;
    double rate = 0;
  };

  // The one in which `time` is.
  size_t StageOf(MonotonicTime time) const;
  // Has a stage begin at `time`; returns it.
  size_t Split(MonotonicTime time);
  MonotonicTime EndOf(size_t stage) const {
    return stage + 1 < stages_.size() ? stages_[stage + 1].from : kNoDeadline;
  }

  std::vector<Stage> stages_;
};

}  // namespace te::sim

#endif  // TE_SIM_NIC_TIMELINE_H_
