#ifndef TE_BENCH_FLAGS_H_
#define TE_BENCH_FLAGS_H_

#include <set>
#include <string>

#include "te/bench/flag_values.h"

namespace te::bench {

// The flags' values now. `given`: the names of those that were set.
FlagValues ReadFlags(std::set<std::string> given);

// Whether --help is set.
bool HelpWanted();

}  // namespace te::bench

#endif  // TE_BENCH_FLAGS_H_
