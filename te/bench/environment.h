#ifndef TE_BENCH_ENVIRONMENT_H_
#define TE_BENCH_ENVIRONMENT_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace te::bench {

// The MC_* variables that people have in their scripts. Only programs look at
// them; where a flag is given as well, the flag wins.

// A flag that a variable sets.
struct FlagFromEnvironment {
  std::string flag;
  std::string value;
  std::string variable;

  friend bool operator==(const FlagFromEnvironment&,
                         const FlagFromEnvironment&) = default;
};

struct EnvironmentEffect {
  std::vector<FlagFromEnvironment> flags;
  // About variables that have no effect, one sentence each.
  std::vector<std::string> warnings;
};

// What the variables mean; empty ones count as not set. `given`: the names of
// the flags that are given, and `local_server_name` the value of that one, or
// empty. INVALID_ARGUMENT names a variable whose value is none. A pure
// function.
absl::StatusOr<EnvironmentEffect> InterpretEnvironment(
    std::map<std::string, std::string> variables,
    const std::set<std::string>& given, const std::string& local_server_name);

// All of this process that begin with MC_.
std::map<std::string, std::string> ReadEnvironment();

// For --help: each variable that has an effect, with the flag it sets.
std::string DescribeEnvironment();

}  // namespace te::bench

#endif  // TE_BENCH_ENVIRONMENT_H_
