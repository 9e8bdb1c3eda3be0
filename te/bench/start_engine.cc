#include "te/bench/start_engine.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "te/base/clock.h"
#include "te/metadata/open_metadata_store.h"
#include "te/program/flag_checks.h"

namespace te::bench {

absl::StatusOr<std::unique_ptr<TransferEngine>> StartEngine(Options options) {
  if (options.metadata_server != "p2p") {
    auto store = OpenMetadataStore(
        options.metadata_server,
        DeadlineAfter(RealClock().Now(), options.engine.connect_timeout));
    if (!store.ok()) {
      return program::WithFlag("metadata_server", store.status());
    }
    options.metadata_store = *std::move(store);
  }
  absl::StatusOr<std::unique_ptr<TransferEngine>> engine =
      CreateTransferEngine(options);
  const absl::Status& status = engine.status();
  // It says by itself what it is about.
  if (absl::StartsWith(status.message(), "protocol ")) return status;
  if (absl::IsInvalidArgument(status) || absl::IsNotFound(status)) {
    return program::WithFlag("local_server_name", status);
  }
  return engine;
}

}  // namespace te::bench
