#include "te/sim/nic_timeline.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "te/base/clock.h"

namespace te::sim {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

double Seconds(Duration duration) {
  return static_cast<double>(duration.count()) / kNanosecondsPerSecond;
}

}  // namespace

NicTimeline::NicTimeline(double rate)
    : stages_({{.from = MonotonicTime::min(), .rate = rate}}) {}

size_t NicTimeline::StageOf(MonotonicTime time) const {
  // Most NICs have but one.
  if (stages_.size() == 1) return 0;
  const auto after = std::upper_bound(
      stages_.begin(), stages_.end(), time,
      [](MonotonicTime t, const Stage& stage) { return t < stage.from; });
  return after - stages_.begin() - 1;
}

size_t NicTimeline::Split(MonotonicTime time) {
  const size_t stage = StageOf(time);
  if (stages_[stage].from == time) return stage;
  stages_.insert(stages_.begin() + stage + 1,
                 {.from = time, .rate = stages_[stage].rate});
  return stage + 1;
}

void NicTimeline::Scale(MonotonicTime from, MonotonicTime until,
                        double fraction) {
  const size_t first = Split(from);
  const size_t end = until == kNoDeadline ? stages_.size() : Split(until);
  for (size_t i = first; i < end; ++i) stages_[i].rate *= fraction;
}

double NicTimeline::RateAt(MonotonicTime time) const {
  return stages_[StageOf(time)].rate;
}

MonotonicTime NicTimeline::Finish(MonotonicTime start, uint64_t bytes) const {
  double left = static_cast<double>(bytes);
  for (size_t stage = StageOf(start); stage < stages_.size(); ++stage) {
    const double rate = stages_[stage].rate;
    const MonotonicTime end = EndOf(stage);
    if (rate > 0) {
      const double needed = left / rate * kNanosecondsPerSecond;
      if (end == kNoDeadline ||
          needed <= static_cast<double>((end - start).count())) {
        return start + Duration(static_cast<int64_t>(std::ceil(needed)));
      }
      left -= Seconds(end - start) * rate;
    }
    start = end;
  }
  return kNoDeadline;
}

std::optional<MonotonicTime> NicTimeline::CutDuring(MonotonicTime from,
                                                    MonotonicTime to) const {
  for (size_t stage = StageOf(from);
       stage < stages_.size() && stages_[stage].from <= to; ++stage) {
    if (stages_[stage].rate == 0) return std::max(from, stages_[stage].from);
  }
  return std::nullopt;
}

double NicTimeline::MeanRate(MonotonicTime from, MonotonicTime to) const {
  double bytes = 0;
  for (size_t stage = StageOf(from);
       stage < stages_.size() && stages_[stage].from < to; ++stage) {
    const MonotonicTime begin = std::max(from, stages_[stage].from);
    bytes += stages_[stage].rate * Seconds(std::min(to, EndOf(stage)) - begin);
  }
  return bytes / Seconds(to - from);
}

}  // namespace te::sim
