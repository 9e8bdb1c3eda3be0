// The program: its flags, and what they ask for.

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/program/exit_status.h"
#include "te/program/program.h"
#include "te/program/stop_signal.h"
#include "te/tools/segment_commands.h"
#include "te/tools/segment_options.h"

namespace te::tools {
namespace {

const SegmentFlags& Defaults() {
  static const SegmentFlags defaults;
  return defaults;
}

}  // namespace
}  // namespace te::tools

using te::tools::Defaults;

DEFINE_string(metadata_server, Defaults().metadata_server,
              "the store: redis://[[user]:password@]host[:port][/database], "
              "unix:///path, grpc://host:port[,...], grpcs://...?ca=FILE; or "
              "p2p, for show HOST:PORT");
DEFINE_string(format, Defaults().format, "text or json");
DEFINE_bool(force, Defaults().force, "delete without asking back");
DEFINE_int64(buffers, Defaults().buffers,
             "buffers that show lists as text; 0: all");
DEFINE_double(timeout, Defaults().timeout, "seconds for a call of the store");
DEFINE_double(poll, Defaults().poll,
              "seconds after which watch looks at everything again, since "
              "Redis does not tell of leases that end");

namespace te::tools {
namespace {

constexpr absl::string_view kIntroduction =
    R"(te_segment shows what engines have published.

  te_segment --metadata_server=redis://10.0.0.1 list [PREFIX]
  te_segment --metadata_server=redis://10.0.0.1 show NAME
  te_segment --metadata_server=redis://10.0.0.1 watch [PREFIX]
  te_segment --metadata_server=redis://10.0.0.1 delete NAME --force

list and watch take the beginning of the names. watch prints a line for each
segment that is new, changed, gone or wrong, until SIGTERM, SIGHUP or Ctrl-C.

Exit status: 0; 1, something failed, and stderr says what; 2, a flag or a word
is wrong.
)";

constexpr const char* kFlags[] = {"metadata_server", "format",  "force",
                                  "buffers",         "timeout", "poll"};

constexpr program::Description kProgram = {.name = "te_segment",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/tools/te_segment.cc"};

absl::Status Run(const std::vector<std::string>& words) {
  TE_ASSIGN_OR_RETURN(
      const SegmentOptions options,
      ParseSegmentOptions({.metadata_server = FLAGS_metadata_server,
                           .format = FLAGS_format,
                           .force = FLAGS_force,
                           .buffers = FLAGS_buffers,
                           .timeout = FLAGS_timeout,
                           .poll = FLAGS_poll},
                          words));
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(kProgram.name);
  TE_ASSIGN_OR_RETURN(program::StopSignal stop, program::StopSignal::Create());
  return program::AtRunTime(RunSegmentCommand(options, stop, std::cout));
}

}  // namespace
}  // namespace te::tools

int main(int argc, char** argv) {
  return te::program::Run(te::tools::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::tools::Run);
}
