#ifndef TE_BENCH_PROGRAM_H_
#define TE_BENCH_PROGRAM_H_

#include "absl/types/span.h"

namespace te::bench {

// transfer_bench: everything from its arguments, the program's name first, to
// its exit status. To be called once, while the process has one thread.
int RunTransferBench(absl::Span<char* const> arguments);

}  // namespace te::bench

#endif  // TE_BENCH_PROGRAM_H_
