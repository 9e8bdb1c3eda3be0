#ifndef TE_BENCH_BENCH_OPTIONS_H_
#define TE_BENCH_BENCH_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/bench/flag_values.h"
#include "te/bench/memory_source.h"
#include "te/bench/rate_unit.h"
#include "te/bench/workload.h"
#include "te/options.h"

namespace te::bench {

enum class Mode : uint8_t { kTarget, kInitiator, kLoopback };

// What the program is to do.
struct BenchOptions {
  Mode mode = Mode::kLoopback;
  // Of the engine. For loopback: where both engines listen.
  Options engine;
  std::string segment;
  // In this order, each for `duration`.
  std::vector<Workload> workloads;
  Duration duration{};
  Verify verify = Verify::kOff;
  uint64_t buffer_size = 0;
  MemorySource memory = MemorySource::kUser;
  bool json = false;
  RateUnit unit;
  int precision = 2;
  // A target writes its segment's name there when it is ready; -1 for none.
  int ready_fd = -1;
  // A target ends when this has nothing to read any more; -1 for none.
  int lifeline_fd = -1;
};

// INVALID_ARGUMENT, with the flag's name, for everything that can be known to
// be wrong without an engine. A pure function.
absl::StatusOr<BenchOptions> MakeBenchOptions(const FlagValues& flags);

}  // namespace te::bench

#endif  // TE_BENCH_BENCH_OPTIONS_H_
