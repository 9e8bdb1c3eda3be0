#ifndef TE_PROGRAM_EXIT_STATUS_H_
#define TE_PROGRAM_EXIT_STATUS_H_

#include "absl/status/status.h"

namespace te::program {

// How the program exits: 0, with 2 for INVALID_ARGUMENT, which stands for a bad
// flag, and with 1 for all else.
int ExitStatus(const absl::Status& status);

// `status` of what was done with an engine that is up: the flags were good
// enough for that, so INVALID_ARGUMENT, from a peer for instance, becomes
// ABORTED. The text stays.
absl::Status AtRunTime(const absl::Status& status);

}  // namespace te::program

#endif  // TE_PROGRAM_EXIT_STATUS_H_
