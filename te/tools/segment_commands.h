#ifndef TE_TOOLS_SEGMENT_COMMANDS_H_
#define TE_TOOLS_SEGMENT_COMMANDS_H_

#include <ostream>

#include "absl/status/status.h"
#include "te/program/stop_signal.h"
#include "te/tools/segment_options.h"

namespace te::tools {

// Does what the options say, and prints on `out`. kWatch goes on until a signal
// comes, and says on the log when the store cannot be reached.
absl::Status RunSegmentCommand(const SegmentOptions& options,
                               program::StopSignal& stop, std::ostream& out);

}  // namespace te::tools

#endif  // TE_TOOLS_SEGMENT_COMMANDS_H_
