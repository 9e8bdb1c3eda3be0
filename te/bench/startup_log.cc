#include "te/bench/startup_log.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/socket_address.h"
#include "te/program/size_text.h"
#include "te/topology/hwloc_topology.h"
#include "te/topology/numa_nodes.h"

namespace te::bench {
namespace {

// "0-3,8": runs of numbers that follow each other.
std::string FormatCpus(absl::Span<const int> cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    absl::StrAppend(&text, text.empty() ? "" : ",", cpus[i]);
    if (last > i) absl::StrAppend(&text, "-", cpus[last]);
    i = last + 1;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::string> DescribeInterfaces(
    absl::Span<const NetworkInterface> interfaces,
    const AdvertisingRanking& ranking) {
  std::vector<std::string> lines;
  for (const NetworkInterface& interface : interfaces) {
    const std::string addresses =
        absl::StrJoin(interface.addresses, ", ",
                      [](std::string* out, const SocketAddress& address) {
                        absl::StrAppend(out, address.ip());
                      });
    lines.push_back(
        absl::StrCat("found interface ", interface.name, ": ",
                     addresses.empty() ? "no IP address" : addresses));
  }
  for (const SkippedForAdvertising& skipped : ranking.skipped) {
    lines.push_back(absl::StrCat(
        "skipped interface ", skipped.interface,
        skipped.address.empty() ? ""
                                : absl::StrCat(" address ", skipped.address),
        ": it ", skipped.reason));
  }
  return lines;
}

std::vector<std::string> DescribeNodes(absl::Span<const NumaNode> nodes) {
  std::vector<std::string> lines;
  for (const NumaNode& node : nodes) {
    lines.push_back(absl::StrCat("NUMA node ", node.index, ": CPUs ",
                                 FormatCpus(node.cpus), ", ",
                                 program::FormatSize(node.memory_bytes)));
  }
  return lines;
}

std::vector<NumaNode> FindNodes() {
  const absl::StatusOr<HwlocTopology> topology = HwlocTopology::OfThisMachine();
  if (topology.ok()) return NumaNodesOf(*topology);
  LOG(WARNING) << "the NUMA nodes are unknown, so there is one buffer: "
               << topology.status();
  return {NumaNode{}};
}

void LogMachine(absl::Span<const NumaNode> nodes) {
  const absl::StatusOr<std::vector<NetworkInterface>> interfaces =
      ListInterfaces();
  if (!interfaces.ok()) {
    LOG(WARNING) << interfaces.status();
  } else {
    const absl::StatusOr<AdvertisingRanking> ranking =
        RankForAdvertising(*interfaces, "");
    for (const std::string& line : DescribeInterfaces(
             *interfaces, ranking.value_or(AdvertisingRanking{}))) {
      LOG(INFO) << line;
    }
  }
  for (const std::string& line : DescribeNodes(nodes)) LOG(INFO) << line;
}

}  // namespace te::bench
