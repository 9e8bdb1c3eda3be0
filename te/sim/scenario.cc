#include "te/sim/scenario.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/sim/fault.h"
#include "te/sim/random.h"
#include "te/sim/simulation.h"
#include "te/sim/traffic.h"
#include "te/transport/slice.h"

namespace te::sim {
namespace {

using std::chrono::milliseconds;

constexpr double kBytesPerGbit = 1e9 / 8;
constexpr uint64_t kKiB = 1 << 10;
constexpr uint64_t kMiB = 1 << 20;
// The rail that something happens to.
constexpr uint32_t kBadRail = 0;
constexpr double kThrottled = 0.1;
// Back is what is within 5%.
constexpr double kBack = 0.95;

// 1 GiB in flight: far more than the rails hold.
Traffic BulkStream(uint32_t from, uint32_t to, Operation operation) {
  return {.initiator = from,
          .peers = {to},
          .operation = operation,
          .min_bytes = 64 * kMiB,
          .max_bytes = 64 * kMiB,
          .in_flight = 16};
}

// A part of the duration.
Duration Share(const Scenario& scenario, double share) {
  return Duration(static_cast<int64_t>(
      static_cast<double>(scenario.simulation.duration.count()) * share));
}

// The rail has `fraction` from a fifth of the time to three fifths, at `host`.
void Disturb(Scenario& scenario, uint32_t host, double fraction) {
  SimulationOptions& simulation = scenario.simulation;
  const std::vector<double>& rates = simulation.network.nic_rates;
  const Duration from = Share(scenario, 1.0 / 5);
  const Duration until = Share(scenario, 3.0 / 5);
  double senders = 0;
  for (const double rate : rates) {
    senders += rate * static_cast<double>(simulation.traffic.size());
  }
  const double lost = rates[kBadRail] * (1 - fraction) *
                      static_cast<double>(simulation.traffic.size());
  simulation.faults.push_back({.host = host,
                               .rail = kBadRail,
                               .from = from,
                               .until = until,
                               .fraction = fraction});
  scenario.milestones.push_back({.title = "rest reached",
                                 .from = from,
                                 .until = until,
                                 .level = kBack * (senders - lost)});
  scenario.milestones.push_back({.title = "back",
                                 .from = until,
                                 .until = simulation.duration,
                                 .level = kBack * senders});
}

void Healthy(Scenario& /*scenario*/) {}

void Throttled(Scenario& scenario) { Disturb(scenario, 1, kThrottled); }

void MixedRates(Scenario& scenario) {
  std::vector<double>& rates = scenario.simulation.network.nic_rates;
  for (size_t i = 0; i < rates.size(); i += 2) rates[i] /= 4;
}

void CutHere(Scenario& scenario) { Disturb(scenario, 0, 0); }

void CutThere(Scenario& scenario) { Disturb(scenario, 1, 0); }

// As the rdma transport has it by default: ack_timeout 14, retry_count 7.
void CutThereSlowly(Scenario& scenario) {
  scenario.simulation.network.detection_time = milliseconds(500);
  CutThere(scenario);
}

// Nothing follows that could fill the other rails while the slow one still has
// something.
void ThrottledSingle(Scenario& scenario) {
  Traffic& traffic = scenario.simulation.traffic.front();
  traffic.in_flight = 1;
  traffic.min_bytes = traffic.max_bytes = 16 * kMiB;
  scenario.simulation.faults = {
      {.host = 1, .rail = kBadRail, .fraction = kThrottled}};
}

void Flap(Scenario& scenario, uint32_t host) {
  for (Duration from = milliseconds(20);
       from + milliseconds(20) < scenario.simulation.duration;
       from += milliseconds(50)) {
    scenario.simulation.faults.push_back({.host = host,
                                          .rail = kBadRail,
                                          .from = from,
                                          .until = from + milliseconds(20)});
  }
}

void FlappingHere(Scenario& scenario) { Flap(scenario, 0); }

void FlappingThere(Scenario& scenario) { Flap(scenario, 1); }

// Each host streams to the next one.
void DeadSwitch(Scenario& scenario) {
  SimulationOptions& simulation = scenario.simulation;
  const uint32_t hosts = simulation.network.hosts;
  simulation.traffic.clear();
  for (uint32_t host = 0; host < hosts; ++host) {
    simulation.traffic.push_back(
        BulkStream(host, (host + 1) % hosts, Operation::kWrite));
  }
  Disturb(scenario, Fault::kEveryHost, 0);
}

// On average one NIC of eight has a fault, half of which are cuts.
void RandomFaults(Scenario& scenario) {
  SimulationOptions& simulation = scenario.simulation;
  Random random(simulation.seed);
  const auto rails = static_cast<uint32_t>(simulation.network.nic_rates.size());
  for (uint32_t nic = 0; nic < simulation.network.hosts * rails; ++nic) {
    Duration from{};
    while (true) {
      from += Duration(static_cast<int64_t>(random.Exponential(700e6)));
      if (from >= simulation.duration) break;
      const auto length =
          Duration(static_cast<int64_t>(random.LogUniform(10e6, 300e6)));
      const bool cut = random.Below(2) == 0;
      simulation.faults.push_back(
          {.host = nic / rails,
           .rail = nic % rails,
           .from = from,
           .until = from + length,
           .fraction = cut ? 0 : random.LogUniform(0.02, 0.9)});
      from += length;
    }
  }
}

// 4 KiB at a time, mostly with nothing else of the kind under way.
void ShortAlone(Scenario& scenario) {
  scenario.simulation.traffic = {{.initiator = 0,
                                  .peers = {1},
                                  .operation = Operation::kRead,
                                  .min_bytes = 4 * kKiB,
                                  .max_bytes = 4 * kKiB,
                                  .per_second = 20e3}};
  scenario.offered = 20e3 * 4 * kKiB;
}

// What they have to wait behind goes the same way.
void ShortUnderBulk(Scenario& scenario) {
  ShortAlone(scenario);
  scenario.offered = 0;
  scenario.simulation.traffic.push_back(BulkStream(0, 1, Operation::kRead));
}

// They share NICs, but nothing else.
void ShortBesideBulk(Scenario& scenario) {
  ShortAlone(scenario);
  scenario.offered = 0;
  scenario.simulation.traffic.front().operation = Operation::kWrite;
  scenario.simulation.traffic.front().peers = {2};
  scenario.simulation.traffic.push_back(BulkStream(0, 1, Operation::kWrite));
}

void IncastStream(Scenario& scenario) {
  SimulationOptions& simulation = scenario.simulation;
  simulation.traffic.clear();
  for (uint32_t host = 1; host < simulation.network.hosts; ++host) {
    simulation.traffic.push_back(BulkStream(host, 0, Operation::kWrite));
  }
}

void Incast(Scenario& scenario) {
  IncastStream(scenario);
  for (Traffic& traffic : scenario.simulation.traffic) {
    traffic.in_flight = traffic.batches = 1;
  }
  // Here the beginning is what counts.
  scenario.simulation.warm_up = Duration::zero();
}

// `count` hosts of a ring of `hosts` that begins at `first`. Each member of it
// is a peer of equally many: with `offsets` of the ring alike for all, nobody
// gets more than others do but by chance.
std::vector<uint32_t> PeersInRing(uint32_t first, uint32_t hosts, uint32_t self,
                                  const std::vector<uint32_t>& offsets) {
  std::vector<uint32_t> peers;
  for (const uint32_t offset : offsets) {
    peers.push_back(first + (self + offset) % hosts);
  }
  return peers;
}

// `count` of 1 to before `end`, none twice unless there are fewer.
std::vector<uint32_t> AnyOffsets(size_t count, uint32_t end, Random& random) {
  std::vector<uint32_t> offsets;
  while (offsets.size() < std::min<size_t>(count, end - 1)) {
    const auto offset = static_cast<uint32_t>(1 + random.Below(end - 1));
    if (std::find(offsets.begin(), offsets.end(), offset) == offsets.end()) {
      offsets.push_back(offset);
    }
  }
  return offsets;
}

void AllToAll(Scenario& scenario) {
  SimulationOptions& simulation = scenario.simulation;
  simulation.traffic.clear();
  const uint32_t hosts = simulation.network.hosts;
  Random random(simulation.seed);
  const std::vector<uint32_t> offsets = AnyOffsets(4, hosts, random);
  for (uint32_t host = 0; host < hosts; ++host) {
    Traffic traffic = BulkStream(host, 0, Operation::kWrite);
    traffic.peers = PeersInRing(0, hosts, host, offsets);
    traffic.in_flight = 4;
    simulation.traffic.push_back(traffic);
  }
}

// In bytes per second.
double OfferedBy(const Traffic& traffic) {
  const auto least = static_cast<double>(traffic.min_bytes);
  const auto most = static_cast<double>(traffic.max_bytes);
  // Of lengths whose logarithms are spread evenly.
  const double mean =
      least == most ? least : (most - least) / std::log(most / least);
  return traffic.per_second * traffic.requests * mean;
}

// Half of the hosts prefill: they write blocks of the KV cache, 40 layers of
// 2 MiB for each request, to any of 8 decoders, and beside them what is short.
void PrefillDecode(Scenario& scenario) {
  SimulationOptions& simulation = scenario.simulation;
  simulation.traffic.clear();
  const uint32_t hosts = simulation.network.hosts;
  const uint32_t prefillers = hosts / 2;
  double host_rate = 0;
  for (const double rate : simulation.network.nic_rates) host_rate += rate;
  constexpr uint32_t kLayers = 40;
  constexpr double kLoad = 0.4;
  const double batches_per_second = kLoad * host_rate / (kLayers * 2 * kMiB);
  Random random(simulation.seed);
  const std::vector<uint32_t> offsets = AnyOffsets(8, prefillers, random);
  for (uint32_t host = 0; host < prefillers; ++host) {
    const std::vector<uint32_t> decoders =
        PeersInRing(prefillers, prefillers, host, offsets);
    simulation.traffic.push_back({.initiator = host,
                                  .peers = decoders,
                                  .operation = Operation::kWrite,
                                  .min_bytes = 2 * kMiB,
                                  .max_bytes = 2 * kMiB,
                                  .requests = kLayers,
                                  .per_second = batches_per_second});
    simulation.traffic.push_back({.initiator = host,
                                  .peers = decoders,
                                  .operation = Operation::kWrite,
                                  .min_bytes = 4 * kKiB,
                                  .max_bytes = 64 * kKiB,
                                  .per_second = 5e3});
  }
  for (const Traffic& traffic : simulation.traffic) {
    scenario.offered += OfferedBy(traffic);
  }
}

// One NIC in twenty is slow.
void PrefillDecodeDegraded(Scenario& scenario) {
  PrefillDecode(scenario);
  SimulationOptions& simulation = scenario.simulation;
  Random random(simulation.seed + 1);
  const auto rails = static_cast<uint32_t>(simulation.network.nic_rates.size());
  std::set<std::pair<uint32_t, uint32_t>> slow;
  while (slow.size() < std::max(1u, simulation.network.hosts * rails / 20)) {
    slow.emplace(random.Below(simulation.network.hosts), random.Below(rails));
  }
  for (const auto& [host, rail] : slow) {
    simulation.faults.push_back(
        {.host = host, .rail = rail, .fraction = kThrottled});
  }
}

struct Recipe {
  ScenarioName name;
  uint32_t hosts;
  // With fewer it makes no sense.
  uint32_t min_hosts;
  double seconds;
  void (*make)(Scenario& scenario);
};

constexpr Recipe kRecipes[] = {
    {{"healthy", "long WRITEs from host 0 to host 1"}, 2, 2, 0.05, Healthy},
    {{"throttled", "long WRITEs; a NIC of host 1 has 10% for a while"},
     2,
     2,
     0.25,
     Throttled},
    {{"throttled_single", "WRITEs of 16 MiB one by one; a NIC has 10%"},
     2,
     2,
     0.05,
     ThrottledSingle},
    {{"mixed_rates", "long WRITEs; every other NIC has a quarter"},
     2,
     2,
     0.05,
     MixedRates},
    {{"cut", "long WRITEs; a port of host 0 goes down for a while"},
     2,
     2,
     0.5,
     CutHere},
    {{"cut_remote", "long WRITEs; a port of host 1 goes down for a while"},
     2,
     2,
     0.5,
     CutThere},
    {{"cut_remote_slow", "long WRITEs; the same, noticed after 0.5 s"},
     2,
     2,
     3,
     CutThereSlowly},
    {{"flapping", "long WRITEs; a port of host 0 comes and goes"},
     2,
     2,
     0.5,
     FlappingHere},
    {{"flapping_remote", "long WRITEs; a port of host 1 comes and goes"},
     2,
     2,
     0.5,
     FlappingThere},
    {{"dead_switch", "long WRITEs in a ring; a switch dies for a while"},
     4,
     2,
     0.25,
     DeadSwitch},
    {{"random_faults", "long WRITEs; NICs of both hosts are cut or slowed"},
     2,
     2,
     3,
     RandomFaults},
    {{"short_alone", "READs of 4 KiB, and nothing else"},
     2,
     2,
     0.1,
     ShortAlone},
    {{"short_under_bulk", "READs of 4 KiB beside long READs"},
     2,
     2,
     0.1,
     ShortUnderBulk},
    {{"short_beside_bulk", "WRITEs of 4 KiB, and long ones to another host"},
     3,
     3,
     0.1,
     ShortBesideBulk},
    {{"incast", "all hosts write 64 MiB to one at once"}, 1000, 3, 1, Incast},
    {{"incast_stream", "long WRITEs from all hosts to one"},
     100,
     3,
     1,
     IncastStream},
    {{"all_to_all", "long WRITEs from each host to any of 4 others"},
     1000,
     6,
     0.003,
     AllToAll},
    {{"prefill_decode", "KV caches to decoders at 40% load, short WRITEs"},
     1000,
     6,
     0.03,
     PrefillDecode},
    {{"prefill_decode_degraded",
      "KV caches as before; one NIC in twenty has 10%"},
     1000,
     6,
     0.03,
     PrefillDecodeDegraded},
};

absl::Status Check(const Recipe& recipe, const ScenarioScale& scale) {
  if (scale.hosts != 0 && scale.hosts < recipe.min_hosts) {
    return absl::FailedPreconditionError(absl::StrCat(
        recipe.name.name, " needs at least ", recipe.min_hosts, " hosts"));
  }
  if (scale.rails > 64) {
    return absl::InvalidArgumentError("there are at most 64 rails");
  }
  constexpr double kLeast = 0.001;
  constexpr double kMost = 86'400;
  if (scale.seconds != 0 &&
      !(scale.seconds >= kLeast && scale.seconds <= kMost)) {
    return absl::OutOfRangeError(absl::StrCat(
        scale.seconds, " s are not between ", kLeast, " and ", kMost));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<ScenarioName> ScenarioNames() {
  std::vector<ScenarioName> names;
  for (const Recipe& recipe : kRecipes) names.push_back(recipe.name);
  return names;
}

absl::StatusOr<Scenario> MakeScenario(absl::string_view name,
                                      const ScenarioScale& scale) {
  const auto* const recipe =
      std::find_if(std::begin(kRecipes), std::end(kRecipes),
                   [&](const Recipe& r) { return r.name.name == name; });
  if (recipe == std::end(kRecipes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no scenario; --list shows them"));
  }
  TE_RETURN_IF_ERROR(Check(*recipe, scale));
  Scenario scenario = {.name = std::string(recipe->name.name),
                       .description = std::string(recipe->name.description)};
  SimulationOptions& simulation = scenario.simulation;
  simulation.network.hosts = scale.hosts != 0 ? scale.hosts : recipe->hosts;
  simulation.network.nic_rates.assign(
      scale.rails != 0 ? scale.rails : 8,
      kBytesPerGbit * (scale.gbps != 0 ? scale.gbps : 400));
  simulation.seed = scale.seed;
  simulation.duration = Duration(static_cast<int64_t>(
      (scale.seconds != 0 ? scale.seconds : recipe->seconds) * 1e9));
  simulation.warm_up = simulation.duration / 10;
  simulation.bin =
      std::max<Duration>(milliseconds(1), simulation.duration / 1000);
  simulation.traffic = {BulkStream(0, 1, Operation::kWrite)};
  recipe->make(scenario);
  return scenario;
}

}  // namespace te::sim
