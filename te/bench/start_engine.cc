#include "te/bench/start_engine.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace te::bench {

absl::StatusOr<std::unique_ptr<TransferEngine>> StartEngine(
    const Options& options) {
  absl::StatusOr<std::unique_ptr<TransferEngine>> engine =
      CreateTransferEngine(options);
  const absl::Status& status = engine.status();
  if (absl::IsInvalidArgument(status) || absl::IsNotFound(status)) {
    return absl::Status(
        status.code(), absl::StrCat("--local_server_name: ", status.message()));
  }
  return engine;
}

}  // namespace te::bench
