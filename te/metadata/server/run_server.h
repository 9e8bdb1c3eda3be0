#ifndef TE_METADATA_SERVER_RUN_SERVER_H_
#define TE_METADATA_SERVER_RUN_SERVER_H_

#include <ostream>

#include "absl/status/status.h"
#include "te/metadata/server/server_options.h"
#include "te/program/stop_signal.h"

namespace te::metadata_server {

// Serves until a signal comes, then lets calls in progress end. Says on `out`
// where it listens.
absl::Status RunServer(const ServerOptions& options, program::StopSignal& stop,
                       std::ostream& out);

}  // namespace te::metadata_server

#endif  // TE_METADATA_SERVER_RUN_SERVER_H_
