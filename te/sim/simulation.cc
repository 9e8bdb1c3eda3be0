#include "te/sim/simulation.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/core/rail_scheduler.h"
#include "te/core/short_traffic.h"
#include "te/sim/event_queue.h"
#include "te/sim/fault.h"
#include "te/sim/network.h"
#include "te/sim/policy.h"
#include "te/sim/pool.h"
#include "te/sim/rail_set.h"
#include "te/sim/sim_slice.h"
#include "te/sim/statistics.h"
#include "te/sim/traffic.h"
#include "te/sim/traffic_source.h"
#include "te/transport/slice.h"

namespace te::sim {
namespace {

MonotonicTime At(Duration time) {
  return DeadlineAfter(EventQueue::kStart, time);
}

double Seconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e9;
}

absl::Status CheckTraffic(const Traffic& traffic, uint32_t hosts) {
  if (traffic.initiator >= hosts || traffic.peers.empty()) {
    return absl::InvalidArgumentError("traffic without a host or a peer");
  }
  for (const uint32_t peer : traffic.peers) {
    if (peer >= hosts || peer == traffic.initiator) {
      return absl::InvalidArgumentError(
          absl::StrCat("host ", peer, " is no peer of ", traffic.initiator));
    }
  }
  if (traffic.min_bytes == 0 || traffic.min_bytes > traffic.max_bytes ||
      traffic.requests == 0) {
    return absl::InvalidArgumentError("traffic without bytes");
  }
  if ((traffic.in_flight > 0) == (traffic.per_second > 0)) {
    return absl::InvalidArgumentError(
        "traffic comes by itself or keeps batches in flight: one of the two");
  }
  return absl::OkStatus();
}

absl::Status Check(const SimulationOptions& options) {
  const uint32_t hosts = options.network.hosts;
  const std::vector<double>& rates = options.network.nic_rates;
  if (hosts < 2 || rates.empty() || rates.size() > RailScheduler::kMaxRails) {
    return absl::InvalidArgumentError(
        absl::StrCat("at least 2 hosts and 1 to ", RailScheduler::kMaxRails,
                     " rails are needed, not ", hosts, " and ", rates.size()));
  }
  if (*std::min_element(rates.begin(), rates.end()) <= 0) {
    return absl::InvalidArgumentError("a NIC without a rate");
  }
  if (options.duration <= options.warm_up || options.bin <= Duration::zero()) {
    return absl::InvalidArgumentError("the time is over with the warm-up");
  }
  if (options.slice_bytes == 0 || options.slice_bytes > kMaxSliceBytes / 2) {
    return absl::InvalidArgumentError("a size that slices cannot have");
  }
  for (const Fault& fault : options.faults) {
    if ((fault.host >= hosts && fault.host != Fault::kEveryHost) ||
        fault.rail >= rates.size() || fault.from >= fault.until ||
        fault.fraction < 0) {
      return absl::InvalidArgumentError("a fault of nothing, or at no time");
    }
  }
  for (const Traffic& traffic : options.traffic) {
    TE_RETURN_IF_ERROR(CheckTraffic(traffic, hosts));
  }
  return absl::OkStatus();
}

// Those of switches become those of all their NICs.
std::vector<Fault> FaultsOfNics(const SimulationOptions& options) {
  std::vector<Fault> faults;
  for (Fault fault : options.faults) {
    if (fault.host != Fault::kEveryHost) {
      faults.push_back(fault);
      continue;
    }
    for (fault.host = 0; fault.host < options.network.hosts; ++fault.host) {
      faults.push_back(fault);
    }
  }
  return faults;
}

void ScaleTimelines(const std::vector<Fault>& faults, Network& network) {
  for (const Fault& fault : faults) {
    network.timeline(fault.host, fault.rail)
        .Scale(At(fault.from), At(fault.until), fault.fraction);
  }
}

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);

  SimulationResult Run();

 private:
  RailSet& RailsTo(uint32_t initiator, uint32_t peer);
  void ExpectFaults();
  void Handle(const Event& event);
  void SetUsable(const Fault& fault, bool usable);
  SimulationResult Result(bool finished) const;

  const SimulationOptions& options_;
  EventQueue events_;
  Network network_;
  Pool<SimSlice> slices_;
  Pool<SimBatch> batches_;
  Statistics statistics_;
  const std::vector<Fault> faults_;
  std::vector<std::unique_ptr<RailSet>> rail_sets_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, RailSet*> by_hosts_;
  absl::flat_hash_map<uint32_t, std::shared_ptr<ShortTraffic>> short_traffic_;
  std::vector<std::unique_ptr<TrafficSource>> sources_;
};

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      network_(options.network, events_),
      statistics_(options.duration, options.warm_up, options.bin,
                  options.network.nic_rates.size()),
      faults_(FaultsOfNics(options)) {
  ScaleTimelines(faults_, network_);
  const TrafficStores stores = {events_, slices_, batches_, statistics_};
  for (const Traffic& traffic : options.traffic) {
    std::vector<RailSet*> rail_sets;
    for (const uint32_t peer : traffic.peers) {
      rail_sets.push_back(&RailsTo(traffic.initiator, peer));
    }
    const auto number = static_cast<uint32_t>(sources_.size());
    sources_.push_back(std::make_unique<TrafficSource>(
        number, traffic, std::move(rail_sets), options.slice_bytes,
        options.seed * 0x10001 + number, stores));
  }
}

RailSet& Simulation::RailsTo(uint32_t initiator, uint32_t peer) {
  RailSet*& rails = by_hosts_[{initiator, peer}];
  if (rails == nullptr) {
    const auto number = static_cast<uint32_t>(rail_sets_.size());
    std::shared_ptr<ShortTraffic>& short_traffic = short_traffic_[initiator];
    if (short_traffic == nullptr) {
      short_traffic = std::make_shared<ShortTraffic>();
    }
    rail_sets_.push_back(std::make_unique<RailSet>(
        number, initiator, peer,
        MakePolicy(options_.policy, options_.network.nic_rates, short_traffic,
                   options_.seed + number),
        network_, events_));
    rails = rail_sets_.back().get();
  }
  return *rails;
}

void Simulation::ExpectFaults() {
  for (uint32_t i = 0; i < faults_.size(); ++i) {
    if (faults_[i].fraction > 0) continue;
    const Duration delay = options_.network.port_event_time;
    events_.Push(At(faults_[i].from), EventKind::kCut, i);
    events_.Push(At(faults_[i].from) + delay, EventKind::kPortDown, i);
    events_.Push(DeadlineAfter(At(faults_[i].until), delay), EventKind::kPortUp,
                 i);
  }
}

void Simulation::SetUsable(const Fault& fault, bool usable) {
  for (const auto& rails : rail_sets_) {
    if (rails->initiator() == fault.host) rails->SetUsable(fault.rail, usable);
  }
}

void Simulation::Handle(const Event& event) {
  switch (event.kind) {
    case EventKind::kRequestArrived:
      network_.RequestArrived(*event.slice);
      return;
    case EventKind::kDataArrived:
      network_.DataArrived(*event.slice);
      return;
    case EventKind::kDone:
      rail_sets_[event.subject]->Done(*event.slice);
      return;
    case EventKind::kLost:
      rail_sets_[event.subject]->Lost(*event.slice);
      return;
    case EventKind::kWake:
      rail_sets_[event.subject]->Wake();
      return;
    case EventKind::kNextBatch:
      sources_[event.subject]->NextBatch();
      return;
    case EventKind::kCut:
      network_.Cut(faults_[event.subject].host, faults_[event.subject].rail);
      return;
    case EventKind::kPortDown:
      SetUsable(faults_[event.subject], false);
      return;
    case EventKind::kWarm:
      network_.ForgetLongestWait();
      return;
    case EventKind::kPortUp:
      SetUsable(faults_[event.subject], true);
      return;
  }
}

SimulationResult Simulation::Run() {
  const MonotonicTime end = At(options_.duration);
  ExpectFaults();
  for (const auto& source : sources_) source->Start();
  events_.Push(At(options_.warm_up), EventKind::kWarm, 0);
  // Those before it have finished: asking all of them after each event would
  // take longer than the rest.
  size_t unfinished = 0;
  while (!events_.empty()) {
    const Event event = events_.Pop();
    if (event.at > end) break;
    Handle(event);
    while (unfinished < sources_.size() && sources_[unfinished]->finished()) {
      ++unfinished;
    }
    if (unfinished == sources_.size()) break;
  }
  return Result(unfinished == sources_.size());
}

SimulationResult Simulation::Result(bool finished) const {
  SimulationResult result = {
      .finished = finished,
      .rail_bytes = statistics_.rail_bytes(),
      .long_batches = statistics_.latencies(/*bulk=*/true),
      .short_batches = statistics_.latencies(/*bulk=*/false),
      .completed = statistics_.completed(),
      .failed = statistics_.failed(),
      .last = statistics_.last(),
      .longest_wait = network_.longest_wait(),
      .events = events_.count()};
  if (finished) {
    result.throughput = static_cast<double>(statistics_.bytes()) /
                        std::max(1e-9, Seconds(result.last));
  } else {
    result.throughput = static_cast<double>(statistics_.bytes_after_warm_up()) /
                        Seconds(options_.duration - options_.warm_up);
  }
  // Whole bins.
  const Duration end = finished ? result.last : options_.duration;
  const auto bins = static_cast<size_t>(end / options_.bin);
  for (size_t i = 0; i < bins; ++i) {
    result.throughputs.push_back(static_cast<double>(statistics_.bins()[i]) /
                                 Seconds(options_.bin));
  }
  for (const auto& rails : rail_sets_) result.lost_slices += rails->lost();
  return result;
}

// What the NICs could carry of some traffic.
class Capacity {
 public:
  explicit Capacity(const SimulationOptions& options);

  // In bytes per second.
  double Mean(Duration from, Duration to);

 private:
  double SumOf(const std::set<uint32_t>& hosts, size_t rail, Duration from,
               Duration to);

  EventQueue events_;
  Network network_;
  std::set<uint32_t> senders_;
  std::set<uint32_t> receivers_;
};

Capacity::Capacity(const SimulationOptions& options)
    : network_(options.network, events_) {
  ScaleTimelines(FaultsOfNics(options), network_);
  for (const Traffic& traffic : options.traffic) {
    const bool write = traffic.operation == Operation::kWrite;
    (write ? senders_ : receivers_).insert(traffic.initiator);
    (write ? receivers_ : senders_)
        .insert(traffic.peers.begin(), traffic.peers.end());
  }
}

double Capacity::SumOf(const std::set<uint32_t>& hosts, size_t rail,
                       Duration from, Duration to) {
  double rate = 0;
  for (const uint32_t host : hosts) {
    rate += network_.timeline(host, rail).MeanRate(At(from), At(to));
  }
  return rate;
}

double Capacity::Mean(Duration from, Duration to) {
  double rate = 0;
  for (size_t rail = 0; rail < network_.rails(); ++rail) {
    rate += std::min(SumOf(senders_, rail, from, to),
                     SumOf(receivers_, rail, from, to));
  }
  return rate;
}

}  // namespace

absl::StatusOr<SimulationResult> Simulate(const SimulationOptions& options) {
  TE_RETURN_IF_ERROR(Check(options));
  return Simulation(options).Run();
}

// In steps, as faults of senders and receivers need not coincide: the mean of
// the less of both is less than the less of their means.
double IdealThroughput(const SimulationOptions& options) {
  Capacity capacity(options);
  double bytes = 0;
  Duration from = options.warm_up;
  while (from < options.duration) {
    const Duration to = std::min(from + options.bin, options.duration);
    bytes += capacity.Mean(from, to) * static_cast<double>((to - from).count());
    from = to;
  }
  const Duration all = options.duration - options.warm_up;
  return bytes / static_cast<double>(all.count());
}

std::vector<double> IdealThroughputs(const SimulationOptions& options) {
  Capacity capacity(options);
  std::vector<double> means;
  for (Duration from{}; from + options.bin <= options.duration;
       from += options.bin) {
    means.push_back(capacity.Mean(from, from + options.bin));
  }
  return means;
}

}  // namespace te::sim
