#ifndef TE_BENCH_TARGET_H_
#define TE_BENCH_TARGET_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "te/bench/bench_options.h"
#include "te/program/stop_signal.h"

namespace te::bench {

// The command line that runs an initiator against a target with these options.
std::string InitiatorCommand(const std::string& program,
                             const BenchOptions& options,
                             const std::string& segment);

// Serves its memory until a signal comes or the lifeline ends. Prints to `out`
// how `program` is to be called at the other end.
absl::Status RunTarget(const BenchOptions& options, const std::string& program,
                       program::StopSignal& stop, std::ostream& out);

}  // namespace te::bench

#endif  // TE_BENCH_TARGET_H_
