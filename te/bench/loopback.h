#ifndef TE_BENCH_LOOPBACK_H_
#define TE_BENCH_LOOPBACK_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "te/bench/bench_options.h"
#include "te/bench/report.h"
#include "te/program/stop_signal.h"

namespace te::bench {

// The flags of a target that goes with an initiator of these options.
std::vector<std::string> TargetArguments(const BenchOptions& options);

// The transports to measure, one after the other. "auto": all that there are,
// of which those are left out that this machine has not.
std::vector<std::string> ProtocolsToMeasure(const std::string& protocol);

// Starts a target process, and measures the workloads against it, with the
// protocol of the options or, for "auto", with each that this machine has. Says
// to `out` what it does, and what it leaves out and why.
absl::Status RunLoopback(const BenchOptions& options, Report& report,
                         program::StopSignal& stop, std::ostream& out);

}  // namespace te::bench

#endif  // TE_BENCH_LOOPBACK_H_
