#ifndef TE_BENCH_HELP_H_
#define TE_BENCH_HELP_H_

#include <string>

namespace te::bench {

// What --help prints.
std::string HelpText();

}  // namespace te::bench

#endif  // TE_BENCH_HELP_H_
