#include "te/tools/topo_options.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"
#include "te/program/flag_checks.h"
#include "te/program/name_list.h"

namespace te::tools {
namespace {

using program::BadFlag;

absl::StatusOr<TopoFormat> ParseFormat(const std::string& format) {
  constexpr std::pair<absl::string_view, TopoFormat> kFormats[] = {
      {"text", TopoFormat::kText},
      {"json", TopoFormat::kJson},
      {"matrix", TopoFormat::kMatrix},
      {"svg", TopoFormat::kSvg},
      {"html", TopoFormat::kHtml}};
  for (const auto& [name, value] : kFormats) {
    if (format == name) return value;
  }
  return BadFlag("format",
                 absl::StrCat("\"", format,
                              "\" is none of text, json, matrix, svg and "
                              "html"));
}

absl::StatusOr<std::optional<MemoryLocation>> ParseLocation(
    absl::string_view flag, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const absl::StatusOr<MemoryLocation> location = MemoryLocation::Parse(text);
  if (!location.ok()) return BadFlag(flag, location.status().message());
  return *location;
}

}  // namespace

absl::StatusOr<TopoOptions> ParseTopoOptions(const TopoFlags& flags) {
  TopoOptions options = {.xml = flags.xml, .sysfs = flags.sysfs};
  if (!flags.sysfs.empty() && flags.xml.empty()) {
    return BadFlag(
        "sysfs",
        "the sysfs of another machine needs the --xml that lstopo has "
        "written there");
  }
  TE_ASSIGN_OR_RETURN(options.format, ParseFormat(flags.format));
  TE_ASSIGN_OR_RETURN(options.explain, ParseLocation("explain", flags.explain));
  if (options.explain.has_value() && options.format != TopoFormat::kText) {
    return BadFlag("explain", "goes with --format=text alone");
  }
  TE_ASSIGN_OR_RETURN(options.location,
                      ParseLocation("location", flags.location));
  if (options.location.has_value() && options.format != TopoFormat::kSvg &&
      options.format != TopoFormat::kHtml) {
    return BadFlag("location", "goes with --format=svg or html alone");
  }
  TE_RETURN_IF_ERROR(program::CheckRange("spread",
                                         static_cast<double>(flags.spread), 0,
                                         std::numeric_limits<uint32_t>::max()));
  options.policy = {.allowed = program::ParseNameList(flags.device_name),
                    .denied = program::ParseNameList(flags.exclude_device_name),
                    .spread = static_cast<uint32_t>(flags.spread)};
  return options;
}

}  // namespace te::tools
