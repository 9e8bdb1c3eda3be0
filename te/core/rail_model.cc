#include "te/core/rail_model.h"

#include <algorithm>
#include <cmath>

#include "glog/logging.h"

namespace te {
namespace {

// What takes so many times as long as it should, and a while besides, in which
// any host may be held up, is stuck.
constexpr double kFarBeyond = 8;
constexpr Duration kHiccup = std::chrono::milliseconds(20);

// Of so many slices one that is longer than the others counts.
constexpr uint64_t kForget = 64;

constexpr Duration kTimeForOneAlone = std::chrono::milliseconds(10);

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

RailModel::Mark RailModel::Posted(uint64_t bytes, MonotonicTime now) {
  const bool alone = in_flight_ <= kFewBytes;
  if (in_flight_ == 0) waiting_since_ = now;
  in_flight_ += bytes;
  longest_ = std::max(longest_ - longest_ / kForget, bytes);
  return {.since = alone ? now : waiting_since_,
          .carried = carried_,
          .alone = alone};
}

void RailModel::Completed(uint64_t bytes, MonotonicTime now) {
  DCHECK_GE(in_flight_, bytes);
  in_flight_ -= bytes;
  carried_ += bytes;
  waiting_since_ = now;
  on_trial_ = false;
}

void RailModel::Learn(const Mark& mark, uint64_t carried,
                      MonotonicTime completed_at,
                      const RailModelOptions& options) {
  const Duration elapsed = std::max(completed_at - mark.since, Duration(1));
  const bool busy =
      !mark.alone && carried >= std::min(options.min_window, longest_) / 2;
  Measure(static_cast<double>(carried) / Seconds(elapsed), busy, completed_at,
          options);
  if (mark.alone) {
    MeasureLatency({.elapsed = elapsed, .carried = carried}, completed_at,
                   options);
  }
  // Also because the rate is known better now.
  latency_ = LatencyOf(fastest_);
}

// A rail that was not `busy` may carry more than that.
void RailModel::Measure(double rate, bool busy, MonotonicTime now,
                        const RailModelOptions& options) {
  if (stale(now, options) && busy) {
    rate_ = last_rate_ = 0;
    sample_began_ = now;
  }
  const Duration sample_time = std::max(options.sample_time, 4 * latency_);
  if (now - sample_began_ >= sample_time) {
    // Of a time that shows nothing the one before still counts.
    if (rate_ > 0) last_rate_ = rate_;
    rate_ = 0;
    sample_began_ = now;
  }
  if (busy) measured_at_ = now;
  if (busy || rate > last_rate_) rate_ = std::max(rate_, rate);
}

// For a while in each `memory`, as there may never be a time when nothing else
// is under way.
bool RailModel::IsTimeForOneAlone(MonotonicTime now,
                                  const RailModelOptions& options) const {
  return (now - latency_began_) % options.memory < kTimeForOneAlone;
}

// What a slice that was alone took, without its transmission.
Duration RailModel::LatencyOf(const Alone& slice) const {
  // What was measured may be the rate of such slices alone, which is less than
  // the rail's.
  const bool measured = measured_at_ != MonotonicTime();
  const double rate = measured ? std::max(rate_, last_rate_) : link_rate_;
  if (rate == 0) return slice.elapsed;
  const Duration transmission =
      FromSeconds(static_cast<double>(slice.carried) / rate);
  return std::max(slice.elapsed - transmission, slice.elapsed / 8);
}

void RailModel::MeasureLatency(const Alone& slice, MonotonicTime now,
                               const RailModelOptions& options) {
  const bool old = now - latency_began_ >= options.memory;
  if (old) latency_began_ = now;
  if (old || LatencyOf(slice) < latency_) fastest_ = slice;
}

void RailModel::Failed(uint64_t bytes, MonotonicTime now,
                       const RailModelOptions& options) {
  DCHECK_GE(in_flight_, bytes);
  in_flight_ -= bytes;
  waiting_since_ = now;
  on_trial_ = true;
  if (now < paused_until_) return;
  const double past = Seconds(now - failed_at_) / Seconds(options.forgiveness);
  failures_ = 1 + failures_ * std::exp2(-past);
  failed_at_ = now;
  const double pause =
      Seconds(options.first_pause) * std::exp2(std::min(failures_ - 1, 20.0));
  paused_until_ = now + std::min(FromSeconds(pause), options.longest_pause);
}

uint64_t RailModel::window(double rate, bool tight, MonotonicTime now,
                           const RailModelOptions& options) const {
  // One waits behind another.
  const uint64_t least = std::max(options.min_window, longest_ + 1);
  // What the link should carry is not known to be what it does.
  if (stale(now, options)) return tight ? longest_ + 1 : least;
  const Duration time =
      tight ? latency_ + options.tight_slack : 2 * latency_ + options.slack;
  const double most = static_cast<double>(options.max_window);
  auto bytes = static_cast<uint64_t>(std::min(rate * Seconds(time), most));
  if (tight) {
    bytes = std::max(
        bytes, static_cast<uint64_t>(std::min(rate * Seconds(latency_), most)) +
                   longest_);
  }
  return std::clamp(bytes, tight ? 0 : least,
                    std::max(least, options.max_window));
}

bool RailModel::stuck(MonotonicTime now, double rate) const {
  const Duration waiting = now - waiting_since_;
  if (in_flight_ == 0 || waiting < kHiccup) return false;
  const double expected =
      Seconds(latency_) + static_cast<double>(in_flight_) / rate;
  return Seconds(waiting - kHiccup) > kFarBeyond * expected;
}

}  // namespace te
