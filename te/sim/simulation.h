#ifndef TE_SIM_SIMULATION_H_
#define TE_SIM_SIMULATION_H_

#include <chrono>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/sim/fault.h"
#include "te/sim/network.h"
#include "te/sim/policy.h"
#include "te/sim/statistics.h"
#include "te/sim/traffic.h"

namespace te::sim {

struct SimulationOptions {
  NetworkOptions network;
  std::vector<Fault> faults;
  std::vector<Traffic> traffic;
  Policy policy = Policy::kScheduler;
  // Equal options give equal results.
  uint64_t seed = 1;
  // It ends then, or when all traffic has.
  Duration duration = std::chrono::milliseconds(100);
  // Latencies, waits and the throughput are of what comes after it.
  Duration warm_up = std::chrono::milliseconds(5);
  // Of SimulationResult::throughputs.
  Duration bin = std::chrono::milliseconds(1);
  // As in EngineOptions.
  uint32_t slice_bytes = 256 << 10;
};

struct SimulationResult {
  // Bytes per second.
  double throughput = 0;
  // Traffic that has an end has ended.
  bool finished = false;
  // In each bin, in bytes per second.
  std::vector<double> throughputs;
  std::vector<uint64_t> rail_bytes;
  Latencies long_batches;
  Latencies short_batches;
  uint64_t completed = 0;
  uint64_t failed = 0;
  uint64_t lost_slices = 0;
  // When the last batch completed.
  Duration last{};
  // How long a slice has waited at most where it was to be received.
  Duration longest_wait{};
  uint64_t events = 0;
};

// INVALID_ARGUMENT if options contradict each other.
absl::StatusOr<SimulationResult> Simulate(const SimulationOptions& options);

// What the NICs of those that send and those that receive carry in all, in
// bytes per second, without the warm-up. `options` are valid.
double IdealThroughput(const SimulationOptions& options);
// The same of each bin.
std::vector<double> IdealThroughputs(const SimulationOptions& options);

}  // namespace te::sim

#endif  // TE_SIM_SIMULATION_H_
