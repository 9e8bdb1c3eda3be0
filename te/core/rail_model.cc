#include "te/core/rail_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "glog/logging.h"

namespace te {
namespace {

// What takes so many times as long as it should, and kHiccup besides, is stuck.
constexpr double kFarBeyond = 8;

// Of so many slices one that is longer than the others counts.
constexpr uint64_t kForget = 64;

// With less than that under way, and than half of what the path holds, a rail
// is not busy. Windows leave more than that behind a slice that completes.
constexpr double kLittle = 96 << 10;

// So long at least, once a rail is at work, is what a rate is measured in: much
// longer than the moment after which a busy CPU sees a completion.
constexpr Duration kSpan = std::chrono::milliseconds(2);

// So many slices alone in each `memory`: the last ones at its end, if need be,
// but for no longer than that.
constexpr int kSomeAlone = 4;
constexpr Duration kTimeForSomeAlone = std::chrono::milliseconds(10);
constexpr Duration kLongTimeForSomeAlone = std::chrono::milliseconds(50);

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

// What is posted while too little is under way to keep the rail busy begins
// anew: what was carried before does not show what it can carry. What is ahead
// may have arrived already.
RailModel::Mark RailModel::Posted(uint64_t bytes, MonotonicTime now) {
  const uint64_t ahead = in_flight_;
  if (ahead == 0) waiting_since_ = now;
  const bool alone = ahead <= kFewBytes;
  if (alone ||
      static_cast<double>(ahead) < std::min(path_bytes() / 2, kLittle)) {
    stamp_ = last_stamp_ = {.time = now, .carried = carried_ + ahead};
  }
  in_flight_ += bytes;
  longest_ = std::max(longest_ - longest_ / kForget, bytes);
  return {.since = last_stamp_.time,
          .carried = last_stamp_.carried,
          .alone = alone};
}

void RailModel::Completed(uint64_t bytes, MonotonicTime now) {
  DCHECK_GE(in_flight_, bytes);
  in_flight_ -= bytes;
  carried_ += bytes;
  waiting_since_ = now;
  on_trial_ = false;
  if (now - stamp_.time < kSpan) return;
  last_stamp_ = std::exchange(stamp_, {.time = now, .carried = carried_});
}

void RailModel::Learn(const Mark& mark, uint64_t carried,
                      MonotonicTime completed_at,
                      const RailModelOptions& options) {
  const Duration elapsed = std::max(completed_at - mark.since, Duration(1));
  const double enough =
      std::min(static_cast<double>(options.min_window),
               std::max(static_cast<double>(longest_), path_bytes()));
  const bool busy = !mark.alone && static_cast<double>(carried) >= enough / 2;
  Measure(static_cast<double>(carried) / Seconds(elapsed), busy, completed_at,
          options);
  if (mark.alone) {
    MeasureLatency({.elapsed = elapsed, .carried = carried}, completed_at,
                   options);
  }
  UpdateWindows(options);
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
    // Another part of it is transmission now.
    UpdateLatency();
  }
  if (busy) measured_at_ = now;
  if (busy || rate > last_rate_) rate_ = std::max(rate_, rate);
}

// As there may never be a time by itself when nothing else is under way.
bool RailModel::IsTimeForSomeAlone(MonotonicTime now,
                                   const RailModelOptions& options) const {
  const Duration age = now - latency_began_;
  if (age < options.memory || alone_ >= kSomeAlone) return false;
  // If the last time was too short for what was under way to arrive.
  const bool again = age >= 2 * options.memory;
  return age % options.memory <
         (again ? kLongTimeForSomeAlone : kTimeForSomeAlone);
}

// What a slice that was alone took, without its transmission.
Duration RailModel::LatencyOf(const Alone& slice) const {
  // What was measured may be the rate of such slices alone, which is less than
  // the rail's.
  const double rate = last_known_rate();
  if (rate == 0) return slice.elapsed;
  const Duration transmission =
      FromSeconds(static_cast<double>(slice.carried) / rate);
  return std::max(slice.elapsed - transmission, slice.elapsed / 4);
}

void RailModel::MeasureLatency(const Alone& slice, MonotonicTime now,
                               const RailModelOptions& options) {
  if (now - latency_began_ >= 2 * options.memory) {
    sampled_ = 0;
    latency_began_ = now;
    alone_ = 0;
  }
  samples_[sampled_++ % kSamples] = slice;
  if (++alone_ >= kSomeAlone && now - latency_began_ >= options.memory) {
    latency_began_ = now;
    alone_ = 0;
  }
  UpdateLatency();
}

void RailModel::UpdateLatency() {
  const size_t count = std::min(sampled_, kSamples);
  if (count == 0) return;
  std::array<Duration, kSamples> latencies;
  for (size_t i = 0; i < count; ++i) latencies[i] = LatencyOf(samples_[i]);
  std::sort(latencies.begin(), latencies.begin() + count);
  least_latency_ = latencies[0];
  latency_ = latencies[(count - 1) / 2];
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

void RailModel::UpdateWindows(const RailModelOptions& options) {
  const double rate = last_known_rate();
  const auto carried_in = [&](Duration time) {
    return static_cast<uint64_t>(std::min(
        rate * Seconds(time), static_cast<double>(options.max_window)));
  };
  // Bounded, as what others have queued on the way makes it longer as well.
  const Duration seen_after =
      std::min(latency_, least_latency_ + options.slack);
  path_window_ = carried_in(seen_after);
  window_ = carried_in(2 * seen_after + options.slack);
  tight_window_ = carried_in(seen_after + options.tight_slack);
}

bool RailModel::IsFarBeyond(MonotonicTime now, double rate) const {
  const double expected =
      Seconds(latency_) + static_cast<double>(in_flight_) / rate;
  return Seconds(now - waiting_since_ - kHiccup) > kFarBeyond * expected;
}

}  // namespace te
