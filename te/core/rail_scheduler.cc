#include "te/core/rail_scheduler.h"

#include <algorithm>
#include <array>
#include <limits>
#include <ratio>
#include <type_traits>

#include "glog/logging.h"

namespace te {
namespace {

// Of rails of which nothing is known, as long as none of them has carried
// anything: 10 Gb/s. Only what is alike for all of them matters.
constexpr double kUnknownRate = 1.25e9;
// Short requests may exceed a window so many times.
constexpr uint64_t kShortShare = 4;

// Times that differ by no more are not told apart: they are estimates.
constexpr double kAsGood = 1.1;

}  // namespace

// How things look for one slice. Times are in seconds.
struct RailScheduler::Outlook {
  bool IsNear(size_t rail) const { return ((near_rails >> rail) & 1) != 0; }

  uint64_t near_rails = 0;
  std::array<double, kMaxRails> rates;
  std::array<double, kMaxRails> latencies;
  double total_rate = 0;
  uint64_t near_in_flight = 0;
  uint64_t in_flight = 0;
};

size_t RailScheduler::AddRail(uint64_t link_rate) {
  CHECK_LT(rails_.size(), kMaxRails);
  rails_.push_back({.model = RailModel(link_rate)});
  return rails_.size() - 1;
}

std::optional<size_t> RailScheduler::Choose(const RailDemand& demand,
                                            MonotonicTime now) {
  if (!demand.bulk) short_traffic_->Note(now);
  bool any = false;
  const std::optional<size_t> chosen =
      ChooseAmong(demand, now, /*doubtful_too=*/false, any);
  if (any) return chosen;
  return ChooseAmong(demand, now, /*doubtful_too=*/true, any);
}

void RailScheduler::Look(const RailDemand& demand, MonotonicTime now,
                         Outlook& outlook) const {
  // What is not known is taken to be as good as the best that is.
  double best_rate = 0;
  Duration best_latency = Duration::max();
  uint64_t usable = 0;
  for (size_t i = 0; i < rails_.size(); ++i) {
    const RailModel& model = rails_[i].model;
    outlook.in_flight += model.in_flight();
    outlook.rates[i] = model.rate(now, options_.model);
    best_rate = std::max(best_rate, outlook.rates[i]);
    const Duration latency = model.latency(now, options_.model);
    outlook.latencies[i] = static_cast<double>(latency.count());
    if (latency > Duration::zero()) {
      best_latency = std::min(best_latency, latency);
    }
    if (rails_[i].use != Use::kNone) usable |= uint64_t{1} << i;
  }
  outlook.near_rails = usable & demand.near_rails;
  // Far ones are then as good as any.
  if (outlook.near_rails == 0) outlook.near_rails = UINT64_MAX;
  if (best_rate == 0) best_rate = kUnknownRate;
  if (best_latency == Duration::max()) best_latency = Duration::zero();
  const auto least = static_cast<double>(best_latency.count());
  constexpr double kTick = 1e-9;
  static_assert(std::is_same_v<Duration::period, std::nano>);
  for (size_t i = 0; i < rails_.size(); ++i) {
    if (outlook.rates[i] == 0) outlook.rates[i] = best_rate;
    outlook.latencies[i] = kTick * std::max(outlook.latencies[i], least);
    if (((usable & outlook.near_rails) >> i & 1) == 0) continue;
    outlook.near_in_flight += rails_[i].model.in_flight();
    outlook.total_rate += outlook.rates[i];
  }
}

bool RailScheduler::MayServe(const State& rail, double rate,
                             MonotonicTime now) {
  const RailModel& model = rail.model;
  return now >= model.paused_until() && !model.stuck(now, rate);
}

bool RailScheduler::IsTrusted(size_t rail, MonotonicTime now) const {
  const State& state = rails_[rail];
  const double rate = state.model.rate(now, options_.model);
  return !state.model.on_trial() &&
         MayServe(state, rate > 0 ? rate : kUnknownRate, now);
}

bool RailScheduler::HasRoom(const State& rail, const RailDemand& demand,
                            MonotonicTime now) const {
  const RailModel& model = rail.model;
  if (model.in_flight() == 0) return true;
  if (rail.use == Use::kOneSlice || model.on_trial()) return false;
  if (demand.bulk) {
    return model.has_room(tight(now), now, options_.model);
  }
  return model.in_flight() / kShortShare <=
         model.window(/*tight=*/false, now, options_.model);
}

std::optional<size_t> RailScheduler::ChooseAmong(const RailDemand& demand,
                                                 MonotonicTime now,
                                                 bool doubtful_too, bool& any) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  Outlook outlook;
  Look(demand, now, outlook);
  // Of all, and of those with room.
  double best_time = kNever;
  double best_open_time = kNever;
  std::array<double, kMaxRails> open_times;
  for (size_t i = 0; i < rails_.size(); ++i) {
    open_times[i] = kNever;
    const State& rail = rails_[i];
    const double rate = outlook.rates[i];
    if (rail.use == Use::kNone) continue;
    if (!doubtful_too && !MayServe(rail, rate, now)) continue;
    any = true;
    double time =
        outlook.latencies[i] +
        static_cast<double>(rail.model.in_flight() + demand.bytes) / rate;
    if (!outlook.IsNear(i)) time *= options_.far_factor;
    best_time = std::min(best_time, time);
    if (!HasRoom(rail, demand, now)) continue;
    open_times[i] = time;
    best_open_time = std::min(best_open_time, time);
  }
  if (best_open_time == kNever || outlook.in_flight >= options_.max_in_flight) {
    return std::nullopt;
  }
  size_t chosen = next_;
  do {
    chosen = chosen + 1 < rails_.size() ? chosen + 1 : 0;
  } while (open_times[chosen] > kAsGood * best_open_time);
  next_ = chosen;
  if (open_times[chosen] <= kAsGood * best_time) return chosen;
  // It would be done before all else is, so that nobody waits for it.
  const double all_done =
      static_cast<double>(demand.backlog + outlook.near_in_flight) /
      outlook.total_rate;
  if (outlook.IsNear(chosen) && open_times[chosen] <= all_done) return chosen;
  return std::nullopt;
}

double RailScheduler::total_rate(MonotonicTime now) const {
  double total = 0;
  for (const State& rail : rails_) {
    if (rail.use != Use::kNone) total += rail.model.rate(now, options_.model);
  }
  return total;
}

double RailScheduler::path_bytes() const {
  double sum = 0;
  int count = 0;
  for (const auto& [model, use] : rails_) {
    const double bytes = model.path_bytes();
    if (use == Use::kNone || bytes == 0) continue;
    sum += bytes;
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

}  // namespace te
