#ifndef TE_BENCH_START_ENGINE_H_
#define TE_BENCH_START_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "te/options.h"
#include "te/transfer_engine.h"

namespace te::bench {

// An engine for options that MakeBenchOptions has made: what can still be wrong
// about them is the address, the metadata server, or that this machine has not
// what the protocol needs; errors that say so name the flag, or the protocol.
absl::StatusOr<std::unique_ptr<TransferEngine>> StartEngine(Options options);

}  // namespace te::bench

#endif  // TE_BENCH_START_ENGINE_H_
