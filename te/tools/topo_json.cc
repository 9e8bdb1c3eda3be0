#include "te/tools/topo_json.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "te/base/memory_location.h"
#include "te/base/nic_preference.h"
#include "te/topology/device_place.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/net_device.h"
#include "te/topology/nic.h"
#include "te/topology/nic_ranking.h"
#include "te/topology/priority_matrix.h"

namespace te::tools {
namespace {

using Json = nlohmann::ordered_json;

Json TextOrNull(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

void AddPlace(const DevicePlace& place, Json& json) {
  json["pci_address"] =
      place.pci.has_value() ? Json(place.pci->ToString()) : Json();
  json["numa_node"] = place.numa_node() < 0 ? Json() : Json(place.numa_node());
  json["pci_bridge"] = place.bridge < 0 ? Json() : Json(place.bridge);
}

Json NodeJson(const NumaNode& node) {
  return {{"index", node.index},
          {"location", absl::StrCat("cpu:", node.index)},
          {"package", node.package < 0 ? Json() : Json(node.package)},
          {"cpus", node.cpus},
          {"memory_bytes", node.memory_bytes},
          {"allowed", node.allowed},
          {"gpu", node.gpu.has_value() ? Json(node.gpu->ToString()) : Json()}};
}

Json GidsJson(const NicPort& port) {
  if (!port.gids.has_value()) return nullptr;
  Json gids = Json::array();
  for (const GidEntry& entry : *port.gids) {
    gids.push_back({{"index", entry.index},
                    {"gid", entry.gid.ToString()},
                    {"type", std::string(GidTypeName(entry.type))},
                    {"netdev", TextOrNull(entry.netdev)}});
  }
  return gids;
}

Json PortJson(const NicPort& port) {
  return {{"number", port.number},
          {"state", std::string(PortStateName(port.state))},
          {"link_layer", std::string(LinkLayerName(port.link_layer))},
          {"rate_gbps", port.rate_gbps == 0 ? Json() : Json(port.rate_gbps)},
          {"lid", port.lid == 0 ? Json() : Json(port.lid)},
          {"netdev", TextOrNull(port.netdev)},
          {"gids", GidsJson(port)}};
}

// Of its ports the main one once more in the device itself, for most devices
// have no other.
Json NicJson(const Nic& nic) {
  Json json = {{"name", nic.name}};
  AddPlace(nic.place, json);
  json["driver"] = TextOrNull(nic.driver);
  json["virtual_function"] = nic.virtual_function;
  json["bond"] = nic.bond;
  const std::string broken = WhyUnusable(nic);
  json["usable"] = broken.empty();
  json["why_unusable"] = TextOrNull(broken);
  const NicPort* port = MainPort(nic);
  const Json main = PortJson(port == nullptr ? NicPort() : *port);
  json["port"] = port == nullptr ? Json() : Json(port->number);
  for (const char* key : {"state", "link_layer", "rate_gbps", "netdev"}) {
    json[key] = main[key];
  }
  json["ports"] = Json::array();
  for (const NicPort& each : nic.ports) json["ports"].push_back(PortJson(each));
  return json;
}

Json GpuJson(const Gpu& gpu) {
  Json json = {
      {"location",
       gpu.index < 0 ? Json() : Json(absl::StrCat("cuda:", gpu.index))},
      {"name", gpu.name}};
  AddPlace(gpu.place, json);
  json["vendor_id"] = gpu.vendor_id;
  json["device_id"] = gpu.device_id;
  return json;
}

Json NetDeviceJson(const NetDevice& device) {
  Json json = {{"name", device.name},
               {"kind", std::string(NetDeviceKindName(device.kind))}};
  AddPlace(device.place, json);
  json["operstate"] = device.operstate;
  json["speed_mbps"] =
      device.speed_mbps == 0 ? Json() : Json(device.speed_mbps);
  json["mtu"] = device.mtu == 0 ? Json() : Json(device.mtu);
  json["port"] = device.port;
  json["master"] = TextOrNull(device.master);
  return json;
}

Json BridgeJson(const PciBridge& bridge) {
  return {{"kind", bridge.kind == PciBridge::Kind::kHost ? "host" : "pci"},
          {"pci_address",
           bridge.pci.has_value() ? Json(bridge.pci->ToString()) : Json()},
          {"parent", bridge.parent < 0 ? Json() : Json(bridge.parent)},
          {"buses", bridge.buses},
          {"numa_nodes", bridge.nodes}};
}

template <typename Things, typename ToJson>
Json ArrayOf(const Things& things, ToJson to_json) {
  Json array = Json::array();
  for (const auto& thing : things) array.push_back(to_json(thing));
  return array;
}

Json LatenciesJson(const Machine& machine) {
  Json json = Json::object();
  for (const auto& [nodes, latency] : machine.numa_latencies) {
    json[absl::StrCat("cpu:", nodes.first)]
        [absl::StrCat("cpu:", nodes.second)] = latency;
  }
  return json;
}

Json MatrixRow(const PriorityMatrix& matrix, MemoryLocation memory) {
  const auto found = matrix.preferences().find(memory);
  const NicPreference row =
      found == matrix.preferences().end() ? NicPreference() : found->second;
  return {{"preferred", row.preferred}, {"fallback", row.fallback}};
}

Json DistancesRow(const Machine& machine,
                  const TopoReport::Location& location) {
  Json row = Json::object();
  for (const RankedNic& ranked : location.nics) {
    row[machine.nics[ranked.nic].name] =
        std::string(ProximityName(ranked.distance.proximity));
  }
  return row;
}

}  // namespace

std::string TopoJson(const TopoReport& report) {
  const Machine& machine = report.machine;
  Json json = {{"numa_nodes", ArrayOf(machine.nodes, NodeJson)},
               {"numa_latencies", LatenciesJson(machine)},
               {"nics", ArrayOf(machine.nics, NicJson)},
               {"gpus", ArrayOf(machine.gpus, GpuJson)},
               {"net_devices", ArrayOf(machine.net_devices, NetDeviceJson)},
               {"pci_bridges", ArrayOf(machine.bridges, BridgeJson)},
               {"matrix", Json::object()},
               {"distances", Json::object()},
               {"warnings", machine.warnings}};
  for (const TopoReport::Location& location : report.locations) {
    const std::string name = location.memory.ToString();
    json["matrix"][name] = MatrixRow(report.matrix, location.memory);
    if (location.memory == MemoryLocation()) continue;
    json["distances"][name] = DistancesRow(machine, location);
  }
  // A file may have other bytes than UTF-8 in the names of models.
  return json.dump(2, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace) +
         "\n";
}

}  // namespace te::tools
