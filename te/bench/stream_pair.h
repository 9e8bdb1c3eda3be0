#ifndef TE_BENCH_STREAM_PAIR_H_
#define TE_BENCH_STREAM_PAIR_H_

#include <sys/types.h>

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"

namespace te::bench {

// Plain TCP between two processes of this host, for the programs that say what
// the kernel can do without te.

// TCP connections of this process, in the order in which they were made.
using Streams = std::vector<UniqueFd>;

// Forks, and connects the two processes by `count` TCP streams over 127.0.0.1,
// with TCP_NODELAY and the congestion control that te uses. The child runs
// `child` with its ends and exits: with 0, or with 1 after printing why. The
// parent gets its own ends. To be called while the process has one thread.
absl::StatusOr<Streams> ForkWithStreams(
    int count, absl::FunctionRef<absl::Status(Streams)> child, pid_t& pid);

// Waits for the child; an error unless it has exited with 0.
absl::Status WaitForChild(pid_t pid);

}  // namespace te::bench

#endif  // TE_BENCH_STREAM_PAIR_H_
