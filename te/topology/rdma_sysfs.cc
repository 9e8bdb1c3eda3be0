#include "te/topology/rdma_sysfs.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/topology/device_name.h"
#include "te/topology/gid.h"

namespace te {
namespace {

constexpr char kClass[] = "class/infiniband";

// More than any device has: mlx5 has 256.
constexpr size_t kMaxGids = 1024;
constexpr size_t kMaxPorts = 32;
constexpr size_t kMaxWarnings = 100;

// "1: CA"
NicKind KindOf(absl::string_view node_type) {
  if (node_type.empty()) return NicKind::kUnknown;
  if (node_type[0] == '1') return NicKind::kChannelAdapter;
  return node_type[0] == '4' ? NicKind::kIwarp : NicKind::kOther;
}

class RdmaReader {
 public:
  explicit RdmaReader(const Sysfs& sysfs) : sysfs_(sysfs) {}

  RdmaDevices Read();

 private:
  void ReadDevice(const std::string& name);
  void ReadPorts(const std::string& folder, Nic& nic);
  NicPort ReadPort(const std::string& folder, int number);
  void ReadGids(const std::string& folder, NicPort& port);
  void ReadGid(const std::string& folder, int index, LinkLayer layer,
               std::vector<GidEntry>& gids);

  // The attribute, or empty, with a warning, if it cannot be read.
  std::string Attribute(const std::string& path);
  void Warn(std::string warning) {
    if (devices_.warnings.size() < kMaxWarnings) {
      devices_.warnings.push_back(std::move(warning));
    }
  }
  void WarnOfText(const std::string& path, absl::string_view text,
                  absl::string_view what) {
    Warn(absl::StrCat(sysfs_.root(), "/", path, ": '",
                      absl::CHexEscape(text.substr(0, 100)), "' is no ", what));
  }

  const Sysfs& sysfs_;
  RdmaDevices devices_;
};

RdmaDevices RdmaReader::Read() {
  const absl::StatusOr<std::vector<std::string>> names = sysfs_.List(kClass);
  if (!names.ok()) {
    if (!absl::IsNotFound(names.status())) {
      Warn(std::string(names.status().message()));
    }
    return std::move(devices_);
  }
  for (const std::string& name : *names) ReadDevice(name);
  return std::move(devices_);
}

void RdmaReader::ReadDevice(const std::string& name) {
  const std::string folder = absl::StrCat(kClass, "/", name);
  // Before kernel 6.0 an entry abi_version stood beside the devices.
  if (name == "abi_version") return;
  if (!IsDeviceName(name)) {
    WarnOfText(kClass, name, "name of a device");
    return;
  }
  Nic nic;
  nic.name = name;
  const std::string device = folder + "/device";
  nic.place = ReadPlace(sysfs_, device, devices_.warnings);
  nic.kind = KindOf(sysfs_.Read(folder + "/node_type").value_or(""));
  nic.driver = sysfs_.LinkName(device + "/driver");
  nic.virtual_function = sysfs_.Exists(device + "/physfn");
  nic.bond = absl::StrContains(name, "bond");
  ReadPorts(folder + "/ports", nic);
  // What Soft-RoCE and Soft-iWARP are made upon.
  const std::string parent = sysfs_.Read(folder + "/parent").value_or("");
  if (IsDeviceName(parent)) {
    for (NicPort& port : nic.ports) {
      if (port.netdev.empty()) port.netdev = parent;
    }
  }
  // Devices are unplugged, and a driver may be reset, at any time.
  if (!sysfs_.Exists(folder + "/ports")) {
    Warn(absl::StrCat(name, " has no ports in ", sysfs_.root(), "/", folder,
                      ", or has just vanished: it is left out"));
    return;
  }
  devices_.nics.push_back(std::move(nic));
}

void RdmaReader::ReadPorts(const std::string& folder, Nic& nic) {
  const absl::StatusOr<std::vector<std::string>> numbers = sysfs_.List(folder);
  if (!numbers.ok()) return;
  for (const std::string& text : *numbers) {
    int number;
    if (!absl::SimpleAtoi(text, &number) || number < 1 || number > 255 ||
        absl::StrCat(number) != text) {
      WarnOfText(folder, text, "number of a port");
      continue;
    }
    if (nic.ports.size() == kMaxPorts) return;
    nic.ports.push_back(ReadPort(absl::StrCat(folder, "/", text), number));
  }
}

std::string RdmaReader::Attribute(const std::string& path) {
  absl::StatusOr<std::string> text = sysfs_.Read(path);
  if (text.ok()) return *std::move(text);
  Warn(std::string(text.status().message()));
  return "";
}

NicPort RdmaReader::ReadPort(const std::string& folder, int number) {
  NicPort port = {.number = number};
  // "4: ACTIVE"
  const std::string state = Attribute(folder + "/state");
  if (!state.empty()) {
    if (state[0] >= '1' && state[0] <= '5' && state.substr(1, 1) == ":") {
      port.state = static_cast<PortState>(state[0] - '0');
    } else {
      WarnOfText(folder + "/state", state, "state of a port");
    }
  }
  const std::string layer = Attribute(folder + "/link_layer");
  if (layer == "InfiniBand") {
    port.link_layer = LinkLayer::kInfiniBand;
  } else if (layer == "Ethernet") {
    port.link_layer = LinkLayer::kEthernet;
  } else if (!layer.empty() && layer != "Unknown") {
    WarnOfText(folder + "/link_layer", layer, "link layer");
  }
  // "100 Gb/sec (4X EDR)"
  const std::string rate = Attribute(folder + "/rate");
  if (!rate.empty() &&
      (!absl::SimpleAtod(rate.substr(0, rate.find(' ')), &port.rate_gbps) ||
       !(port.rate_gbps >= 0 && port.rate_gbps < 1e6))) {
    WarnOfText(folder + "/rate", rate, "rate");
    port.rate_gbps = 0;
  }
  const std::string lid = Attribute(folder + "/lid");  // "0x1"
  if (uint32_t value; absl::SimpleHexAtoi(lid, &value) && value <= UINT16_MAX) {
    port.lid = static_cast<uint16_t>(value);
  } else if (!lid.empty()) {
    WarnOfText(folder + "/lid", lid, "LID");
  }
  ReadGids(folder, port);
  return port;
}

void RdmaReader::ReadGids(const std::string& folder, NicPort& port) {
  const absl::StatusOr<std::vector<std::string>> indexes =
      sysfs_.List(folder + "/gids");
  if (!indexes.ok()) {
    Warn(std::string(indexes.status().message()));
    return;
  }
  std::vector<GidEntry> gids;
  for (const std::string& text : *indexes) {
    int index;
    if (!absl::SimpleAtoi(text, &index) || index < 0 ||
        absl::StrCat(index) != text) {
      WarnOfText(folder + "/gids", text, "index of a GID");
      continue;
    }
    if (gids.size() == kMaxGids) break;
    ReadGid(folder, index, port.link_layer, gids);
  }
  for (const GidEntry& gid : gids) {
    if (!port.netdev.empty()) break;
    port.netdev = gid.netdev;
  }
  port.gids = std::move(gids);
}

void RdmaReader::ReadGid(const std::string& folder, int index, LinkLayer layer,
                         std::vector<GidEntry>& gids) {
  const std::string path = absl::StrCat(folder, "/gids/", index);
  const std::string text = Attribute(path);
  if (text.empty()) return;
  const absl::StatusOr<Gid> gid = Gid::Parse(text);
  if (!gid.ok()) {
    WarnOfText(path, text, "GID");
    return;
  }
  if (gid->IsZero()) return;
  GidEntry entry = {.index = index, .gid = *gid};
  // Reading these of an entry that has just been taken away fails.
  const std::string type =
      sysfs_.Read(absl::StrCat(folder, "/gid_attrs/types/", index))
          .value_or("");
  if (type == "RoCE v2") {
    entry.type = GidType::kRoceV2;
  } else if (type == "IB/RoCE v1") {
    // One number in the kernel: the link layer tells which it means.
    entry.type = layer == LinkLayer::kInfiniBand ? GidType::kInfiniBand
                                                 : GidType::kRoceV1;
  }
  const std::string netdev =
      sysfs_.Read(absl::StrCat(folder, "/gid_attrs/ndevs/", index))
          .value_or("");
  if (IsDeviceName(netdev)) entry.netdev = netdev;
  gids.push_back(std::move(entry));
}

}  // namespace

RdmaDevices ReadRdmaDevices(const Sysfs& sysfs) {
  return RdmaReader(sysfs).Read();
}

}  // namespace te
