#include "te/tools/topo_text.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "te/program/number_ranges.h"
#include "te/program/size_text.h"
#include "te/program/text_table.h"
#include "te/topology/device_place.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"

namespace te::tools {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// A table below its title; nothing if it has no row but the first.
std::string Section(absl::string_view title, const Rows& rows) {
  if (rows.size() <= 1) return absl::StrCat(title, ": none\n\n");
  Rows indented = rows;
  for (std::vector<std::string>& row : indented) row[0].insert(0, "  ");
  return absl::StrCat(title, "\n", program::FormatTable(indented), "\n");
}

std::string PciText(const DevicePlace& place) {
  return place.pci.has_value() ? place.pci->ToString() : "-";
}

std::string NodeText(const DevicePlace& place) {
  if (!place.pci.has_value() && place.nodes.empty()) return "-";
  return place.nodes.empty() ? "?" : absl::StrJoin(place.nodes, ",");
}

std::string NodesText(const Machine& machine) {
  Rows rows = {{"location", "socket", "memory", "CPUs", ""}};
  for (const NumaNode& node : machine.nodes) {
    std::string note;
    if (node.gpu.has_value()) {
      note = absl::StrCat("memory of the GPU at ", node.gpu->ToString());
    }
    if (!node.allowed) {
      absl::StrAppend(&note, note.empty() ? "" : "; ", "not allowed (cpuset)");
    }
    rows.push_back({absl::StrCat("cpu:", node.index),
                    node.package < 0 ? "-" : absl::StrCat(node.package),
                    program::FormatSize(node.memory_bytes),
                    program::FormatRanges(node.cpus), note});
  }
  return Section("NUMA nodes", rows);
}

std::string GidsText(const NicPort& port) {
  if (!port.gids.has_value()) return "?";
  return absl::StrCat(port.gids->size());
}

std::string NicNotes(const Nic& nic) {
  std::vector<std::string> notes;
  if (nic.virtual_function) notes.emplace_back("virtual function");
  if (nic.bond) notes.emplace_back("bond");
  if (const std::string why = WhyUnusable(nic); !why.empty()) {
    notes.push_back(absl::StrCat("cannot be used: ", why));
  }
  return absl::StrJoin(notes, "; ");
}

std::string RateText(double gbps) {
  return gbps == 0 ? "?" : absl::StrCat(gbps, " Gb/s");
}

std::string NicsText(const Machine& machine) {
  Rows rows = {{"name", "PCI", "node", "driver", "port", "state", "link",
                "rate", "LID", "GIDs", "netdev", ""}};
  for (const Nic& nic : machine.nics) {
    if (nic.ports.empty()) {
      rows.push_back({nic.name, PciText(nic.place), NodeText(nic.place), "?",
                      "-", "-", "-", "-", "-", "-", "-", NicNotes(nic)});
    }
    std::vector<std::string> row = {
        nic.name, PciText(nic.place), NodeText(nic.place),
        nic.driver.empty() ? "?" : absl::CHexEscape(nic.driver)};
    for (const NicPort& port : nic.ports) {
      row.insert(
          row.end(),
          {absl::StrCat(port.number), std::string(PortStateName(port.state)),
           std::string(LinkLayerName(port.link_layer)),
           RateText(port.rate_gbps),
           port.lid == 0 ? "-" : absl::StrCat(port.lid), GidsText(port),
           port.netdev.empty() ? "-" : port.netdev,
           &port == &nic.ports.front() ? NicNotes(nic) : ""});
      rows.push_back(row);
      row = {"", "", "", ""};
    }
  }
  return Section("RDMA devices", rows);
}

std::string GpusText(const Machine& machine) {
  Rows rows = {{"location", "PCI", "node", "name"}};
  for (const Gpu& gpu : machine.gpus) {
    rows.push_back({gpu.index < 0 ? "-" : absl::StrCat("cuda:", gpu.index),
                    PciText(gpu.place), NodeText(gpu.place),
                    absl::CHexEscape(gpu.name)});
  }
  return Section("GPUs", rows);
}

std::string NetDevicesText(const Machine& machine) {
  Rows rows = {{"name", "kind", "state", "speed", "MTU", "PCI", "node", ""}};
  for (const NetDevice& device : machine.net_devices) {
    rows.push_back(
        {device.name, std::string(NetDeviceKindName(device.kind)),
         absl::CHexEscape(device.operstate),
         RateText(static_cast<double>(device.speed_mbps) / 1000),
         device.mtu == 0 ? "?" : absl::StrCat(device.mtu),
         PciText(device.place), NodeText(device.place),
         device.master.empty() ? "" : absl::StrCat("part of ", device.master)});
  }
  return Section("Network interfaces", rows);
}

// The word that ibdev2netdev would print.
std::string NetDeviceState(const Machine& machine, const NicPort& port) {
  const NetDevice* device = FindNetDevice(machine, port.netdev);
  if (device == nullptr || device->operstate == "unknown") return "Unknown";
  return device->operstate == "up" ? "Up" : "Down";
}

std::string MappingText(const Machine& machine) {
  std::string text;
  for (const Nic& nic : machine.nics) {
    for (const NicPort& port : nic.ports) {
      if (port.netdev.empty()) continue;
      absl::StrAppend(&text, "  ", nic.name, " port ", port.number, " ==> ",
                      port.netdev, " (", NetDeviceState(machine, port), ")\n");
    }
  }
  if (text.empty()) return "";
  return absl::StrCat("RDMA devices and their netdevs\n", text, "\n");
}

std::string Names(const TopoReport& report,
                  const TopoReport::Location& location, Standing standing) {
  std::vector<std::string> names;
  for (const RankedNic& ranked : location.nics) {
    if (ranked.standing == standing) {
      names.push_back(report.machine.nics[ranked.nic].name);
    }
  }
  return names.empty() ? "-" : absl::StrJoin(names, " ");
}

std::string MatrixText(const TopoReport& report) {
  if (report.machine.nics.empty()) return "";
  Rows rows = {{"memory", "preferred", "fallback", "left out"}};
  for (const TopoReport::Location& location : report.locations) {
    rows.push_back({location.memory.ToString(),
                    Names(report, location, Standing::kPreferred),
                    Names(report, location, Standing::kFallback),
                    Names(report, location, Standing::kLeftOut)});
  }
  return Section("RDMA devices for memory (--explain tells why)", rows);
}

absl::string_view StandingText(Standing standing) {
  switch (standing) {
    case Standing::kPreferred:
      return "preferred";
    case Standing::kFallback:
      return "fallback";
    case Standing::kLeftOut:
      return "-";
  }
  return "-";
}

}  // namespace

std::string TopoText(const TopoReport& report) {
  const Machine& machine = report.machine;
  std::string text = absl::StrCat(NodesText(machine), NicsText(machine),
                                  MappingText(machine), GpusText(machine),
                                  NetDevicesText(machine), MatrixText(report));
  for (const std::string& warning : machine.warnings) {
    absl::StrAppend(&text, "Warning: ", warning, "\n");
  }
  // The last section ends with an empty line.
  if (machine.warnings.empty()) text.pop_back();
  return text;
}

std::string ExplainText(const TopoReport& report,
                        const TopoReport::Location& location) {
  Rows rows = {{"", "device", "class", "why"}};
  for (const RankedNic& ranked : location.nics) {
    const bool any = location.memory == MemoryLocation();
    rows.push_back(
        {std::string(StandingText(ranked.standing)),
         report.machine.nics[ranked.nic].name,
         any ? "-" : std::string(ProximityName(ranked.distance.proximity)),
         ranked.reason});
  }
  std::string text = Section(
      absl::StrCat("RDMA devices for ", location.memory.ToString()), rows);
  text.pop_back();
  return text;
}

}  // namespace te::tools
