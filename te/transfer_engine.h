#ifndef TE_TRANSFER_ENGINE_H_
#define TE_TRANSFER_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"
#include "te/options.h"

namespace te {

// Starts an engine, which runs until it is destroyed. It fails unless
// everything that `options` ask for works: an engine that is there can be
// reached.
//
//   te::Options options;
//   options.local_server_name = "10.0.0.1:9000";
//   absl::StatusOr<std::unique_ptr<te::TransferEngine>> engine =
//       te::CreateTransferEngine(options);
//
// See te/core/transfer_engine.h, request.h and batch.h for what it can do.
absl::StatusOr<std::unique_ptr<TransferEngine>> CreateTransferEngine(
    const Options& options);

}  // namespace te

#endif  // TE_TRANSFER_ENGINE_H_
