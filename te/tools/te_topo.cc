// The program: its flags, and what they ask for.

#include <cstddef>
#include <iostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/program/exit_status.h"
#include "te/program/program.h"
#include "te/program/text_file.h"
#include "te/tools/topo_json.h"
#include "te/tools/topo_options.h"
#include "te/tools/topo_picture.h"
#include "te/tools/topo_report.h"
#include "te/tools/topo_text.h"
#include "te/topology/discovery.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/nic_ranking.h"

namespace te::tools {
namespace {

const TopoFlags& Defaults() {
  static const TopoFlags defaults;
  return defaults;
}

}  // namespace
}  // namespace te::tools

using te::tools::Defaults;

DEFINE_string(
    xml, Defaults().xml,
    "the topology of another machine, as lstopo --disallowed --of xml "
    "writes it there; -: from stdin. Empty: this machine");
DEFINE_string(sysfs, Defaults().sysfs,
              "beside --xml, a copy of that machine's /sys, of which "
              "docs/topology.md says how to make it: with GIDs, rates and "
              "netdevs. Empty: what the XML knows of them");
DEFINE_string(format, Defaults().format,
              "text; json; matrix, for --nic_priority_matrix of "
              "transfer_bench; svg or html, a picture");
DEFINE_string(explain, Defaults().explain,
              "a location of memory, cpu:0, cuda:1 or *: why each RDMA device "
              "stands where it does for it");
DEFINE_string(location, Defaults().location,
              "of which location the picture shows the distances. Empty: the "
              "first");
DEFINE_string(device_name, Defaults().device_name,
              "the RDMA devices to use, by their own names or those of their "
              "netdevs: mlx5_0,mlx5_1. Empty: all");
DEFINE_string(exclude_device_name, Defaults().exclude_device_name,
              "RDMA devices not to use");
DEFINE_int64(spread, Defaults().spread,
             "the number of a process of this host: of devices equally near, "
             "each begins with another one");

namespace te::tools {
namespace {

constexpr absl::string_view kIntroduction =
    R"(te_topo shows what this machine is made of, and which RDMA device serves which
memory.

  te_topo
  te_topo --explain=cpu:0
  te_topo --format=html > topology.html
  lstopo --disallowed --of xml | ssh desk te_topo --xml=- --format=json

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"xml",
                                  "sysfs",
                                  "format",
                                  "explain",
                                  "location",
                                  "device_name",
                                  "exclude_device_name",
                                  "spread"};

constexpr program::Description kProgram = {.name = "te_topo",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/tools/te_topo.cc"};

// Far above what lstopo writes of the largest machines.
constexpr size_t kMaxXmlBytes = size_t{16} << 20;

absl::StatusOr<Machine> Discover(const TopoOptions& options) {
  if (options.xml.empty()) return DiscoverMachine();
  TE_ASSIGN_OR_RETURN(const std::string xml,
                      program::ReadTextFile(options.xml, kMaxXmlBytes));
  absl::StatusOr<Machine> machine = DiscoverMachine(xml, options.sysfs);
  if (machine.ok()) return machine;
  return absl::Status(
      machine.status().code(),
      absl::StrCat(options.xml, ": ", machine.status().message()));
}

// Text and JSON have the warnings in them.
void Warn(const TopoOptions& options, const TopoReport& report) {
  if (!options.explain.has_value() && (options.format == TopoFormat::kText ||
                                       options.format == TopoFormat::kJson)) {
    return;
  }
  for (const std::string& warning : report.machine.warnings) {
    std::cerr << "te_topo: " << warning << "\n";
  }
}

absl::StatusOr<std::string> Explain(const TopoReport& report,
                                    MemoryLocation memory) {
  TE_RETURN_IF_ERROR(PlaceOf(report.machine, memory).status());
  for (const TopoReport::Location& location : report.locations) {
    if (location.memory == memory) return ExplainText(report, location);
  }
  return absl::NotFoundError(
      absl::StrCat(memory.ToString(), " has neither memory nor CPUs"));
}

absl::StatusOr<std::string> Show(const TopoOptions& options) {
  TE_ASSIGN_OR_RETURN(Machine machine, Discover(options));
  TE_ASSIGN_OR_RETURN(const TopoReport report,
                      MakeTopoReport(std::move(machine), options.policy));
  Warn(options, report);
  if (options.explain.has_value()) return Explain(report, *options.explain);
  const MemoryLocation shown =
      options.location.value_or(report.locations.front().memory);
  switch (options.format) {
    case TopoFormat::kText:
      return TopoText(report);
    case TopoFormat::kJson:
      return TopoJson(report);
    case TopoFormat::kMatrix:
      if (report.matrix.preferences().empty()) {
        return absl::NotFoundError(
            "no RDMA device can be used, so there is no matrix; --format=text "
            "says why");
      }
      return report.matrix.ToJson() + "\n";
    case TopoFormat::kSvg:
    case TopoFormat::kHtml:
      TE_RETURN_IF_ERROR(Explain(report, shown).status());
      return options.format == TopoFormat::kSvg ? TopoSvg(report, shown)
                                                : TopoHtml(report, shown);
  }
  return absl::InternalError("a format without a text");
}

absl::Status Run() {
  TE_ASSIGN_OR_RETURN(
      const TopoOptions options,
      ParseTopoOptions({.xml = FLAGS_xml,
                        .sysfs = FLAGS_sysfs,
                        .format = FLAGS_format,
                        .explain = FLAGS_explain,
                        .location = FLAGS_location,
                        .device_name = FLAGS_device_name,
                        .exclude_device_name = FLAGS_exclude_device_name,
                        .spread = FLAGS_spread}));
  const absl::StatusOr<std::string> text = Show(options);
  if (!text.ok()) return program::AtRunTime(text.status());
  std::cout << *text << std::flush;
  return absl::OkStatus();
}

}  // namespace
}  // namespace te::tools

int main(int argc, char** argv) {
  return te::program::Run(te::tools::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::tools::Run);
}
