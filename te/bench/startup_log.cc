#include "te/bench/startup_log.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/socket_address.h"
#include "te/program/number_ranges.h"
#include "te/program/size_text.h"
#include "te/topology/device_place.h"
#include "te/topology/discovery.h"
#include "te/topology/distance.h"
#include "te/topology/gpu.h"
#include "te/topology/nic.h"
#include "te/topology/nic_lookup.h"
#include "te/topology/numa_node.h"

namespace te::bench {
namespace {

std::string PlaceText(const DevicePlace& place) {
  return absl::StrCat(
      place.nodes.empty()
          ? ""
          : absl::StrCat(", NUMA node ", absl::StrJoin(place.nodes, ", ")),
      place.pci.has_value() ? absl::StrCat(", PCI ", place.pci->ToString())
                            : "");
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

std::vector<std::string> DescribeMachine(const Machine& machine) {
  // As transfer_engine_bench prints it.
  std::vector<std::string> lines = {
      absl::StrCat("numa node num: ", machine.nodes.size())};
  for (const NumaNode& node : machine.nodes) {
    lines.push_back(absl::StrCat(
        "NUMA node ", node.index, ": CPUs ", program::FormatRanges(node.cpus),
        ", ", program::FormatSize(node.memory_bytes),
        node.gpu.has_value()
            ? absl::StrCat(" of the GPU at ", node.gpu->ToString())
            : "",
        node.allowed ? "" : "; not allowed (cpuset)"));
  }
  for (const Nic& nic : machine.nics) {
    const std::string broken = WhyUnusable(nic);
    const NicPort* port = MainPort(nic);
    lines.push_back(absl::StrCat(
        "found RDMA device ", DescribeNic(nic), PlaceText(nic.place),
        port == nullptr || port->rate_gbps == 0 || !broken.empty()
            ? ""
            : absl::StrCat(", ", port->rate_gbps, " Gb/s"),
        broken.empty() ? "" : absl::StrCat("; cannot be used now: ", broken)));
  }
  if (machine.nics.empty()) lines.emplace_back("found no RDMA device");
  for (const Gpu& gpu : machine.gpus) {
    lines.push_back(
        absl::StrCat("found GPU ",
                     gpu.index < 0 ? "" : absl::StrCat("cuda:", gpu.index, " "),
                     gpu.name, PlaceText(gpu.place)));
  }
  return lines;
}

std::vector<std::string> DescribeMatrix(const Machine& machine,
                                        const PriorityMatrix& matrix) {
  std::vector<std::string> lines;
  for (const auto& [location, nics] : matrix.preferences()) {
    std::string line = absl::StrCat("RDMA devices for ", location.ToString(),
                                    ": ", absl::StrJoin(nics.preferred, ", "));
    if (!nics.fallback.empty()) {
      absl::StrAppend(&line, nics.preferred.empty() ? "" : "; ", "otherwise ",
                      absl::StrJoin(nics.fallback, ", "));
    }
    if (!PlaceOf(machine, location).ok()) {
      absl::StrAppend(&line, "; the machine has no such memory");
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::shared_ptr<const Machine> FindMachine() {
  absl::StatusOr<Machine> machine = DiscoverMachine();
  if (!machine.ok()) {
    LOG(WARNING) << "the topology is unknown, so there is one buffer: "
                 << machine.status();
    return std::make_shared<const Machine>(Machine{.nodes = {NumaNode{}}});
  }
  for (const std::string& warning : machine->warnings) LOG(WARNING) << warning;
  return std::make_shared<const Machine>(*std::move(machine));
}

void LogMachine(const NicOptions& nics) {
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
  for (const std::string& line : DescribeMachine(*nics.machine)) {
    LOG(INFO) << line;
  }
  const NicChoice choice = ChooseNics(nics).value_or(NicChoice());
  const std::vector<std::string> rows =
      DescribeMatrix(*nics.machine, choice.matrix);
  for (const std::string& line : rows) LOG(INFO) << line;
  if (rows.empty() && !nics.machine->nics.empty()) {
    LOG(INFO) << "no RDMA device is chosen";
  }
}

}  // namespace te::bench
