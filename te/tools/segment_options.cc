#include "te/tools/segment_options.h"

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/program/flag_checks.h"

namespace te::tools {
namespace {

using program::BadFlag;

absl::StatusOr<SegmentCommand> ParseCommand(const std::string& word) {
  if (word == "list") return SegmentCommand::kList;
  if (word == "show") return SegmentCommand::kShow;
  if (word == "watch") return SegmentCommand::kWatch;
  if (word == "delete") return SegmentCommand::kDelete;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown command \"", absl::CHexEscape(word.substr(0, 100)),
                   "\"; use list, show, watch or delete, and see --help"));
}

absl::StatusOr<Duration> ParseSeconds(absl::string_view flag, double seconds) {
  return program::SecondsFlag(flag, seconds, 1e-3, 86'400);
}

absl::Status CheckWords(const std::vector<std::string>& words,
                        const SegmentOptions& options) {
  if (words.size() > 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(words[2].substr(0, 100)),
                     "\" is one word too many; see --help"));
  }
  const bool needs_name = options.command == SegmentCommand::kShow ||
                          options.command == SegmentCommand::kDelete;
  if (!needs_name && options.name.empty()) return absl::OkStatus();
  if (options.name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(words[0], " needs the name of a segment: te_segment ",
                     words[0], " NAME"));
  }
  return ValidateSegmentName(options.name);
}

absl::Status CheckServer(const SegmentOptions& options) {
  if (options.metadata_server.empty()) {
    return BadFlag(
        "metadata_server",
        "say which store: redis://host[:port], unix:///path, "
        "grpc://host:port or grpcs://host:port?ca=FILE; or p2p, to show "
        "a segment by the host:port of its process");
  }
  if (options.metadata_server != "p2p") {
    const absl::Status known =
        DescribeMetadataStore(options.metadata_server).status();
    return known.ok() ? known : BadFlag("metadata_server", known.message());
  }
  if (options.command == SegmentCommand::kShow) return absl::OkStatus();
  return BadFlag(
      "metadata_server",
      "without a metadata store there is nothing but show HOST:PORT");
}

}  // namespace

absl::StatusOr<SegmentOptions> ParseSegmentOptions(
    const SegmentFlags& flags, const std::vector<std::string>& words) {
  if (words.empty()) {
    return absl::InvalidArgumentError(
        "no command; use list, show, watch or delete, and see --help");
  }
  SegmentOptions options = {.metadata_server = flags.metadata_server,
                            .json = flags.format == "json",
                            .force = flags.force};
  TE_ASSIGN_OR_RETURN(options.command, ParseCommand(words[0]));
  if (words.size() > 1) options.name = words[1];
  TE_RETURN_IF_ERROR(CheckWords(words, options));
  TE_RETURN_IF_ERROR(CheckServer(options));
  if (flags.format != "text" && flags.format != "json") {
    return BadFlag("format", "use text or json");
  }
  if (flags.force && options.command != SegmentCommand::kDelete) {
    return BadFlag("force", "is for delete alone");
  }
  if (flags.buffers < 0) return BadFlag("buffers", "use 0, for all, or more");
  options.buffers = flags.buffers == 0 ? std::numeric_limits<size_t>::max()
                                       : static_cast<size_t>(flags.buffers);
  TE_ASSIGN_OR_RETURN(options.timeout, ParseSeconds("timeout", flags.timeout));
  TE_ASSIGN_OR_RETURN(options.poll, ParseSeconds("poll", flags.poll));
  return options;
}

}  // namespace te::tools
