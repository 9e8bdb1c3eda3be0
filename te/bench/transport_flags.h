#ifndef TE_BENCH_TRANSPORT_FLAGS_H_
#define TE_BENCH_TRANSPORT_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "te/bench/flag_values.h"
#include "te/options.h"

namespace te::bench {

// What the flags about single transports mean, for all transports, whichever
// the protocol takes. `options.engine` must be set. INVALID_ARGUMENT names the
// flag. A pure function, as the others.
absl::Status SetTransportOptions(const FlagValues& flags, Options& options);

// Of the flags that are given, those about transports that the protocol does
// not take: a sentence for each transport.
std::vector<std::string> FlagsInVain(const FlagValues& flags);

// Flags that make options of these of the transports that the protocol takes.
std::vector<std::string> TransportArguments(const Options& options);

}  // namespace te::bench

#endif  // TE_BENCH_TRANSPORT_FLAGS_H_
