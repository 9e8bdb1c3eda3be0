#include "te/topology/nic_lookup.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace te {
namespace {

// How a NIC and a netdev belong together, the closest first.
enum class Relation { kNetDevice, kGid, kLower, kMaster, kNone };

bool HasGidOf(const NicPort& port, absl::string_view netdev) {
  return port.gids.has_value() &&
         std::any_of(port.gids->begin(), port.gids->end(),
                     [&](const GidEntry& gid) { return gid.netdev == netdev; });
}

// `device`: what is known of that netdev, or null.
Relation RelationOf(const NicPort& port, absl::string_view name,
                    const NetDevice* device) {
  if (port.netdev.empty()) return Relation::kNone;
  if (port.netdev == name) return Relation::kNetDevice;
  if (HasGidOf(port, name)) return Relation::kGid;
  if (device == nullptr) return Relation::kNone;
  if (std::find(device->lowers.begin(), device->lowers.end(), port.netdev) !=
      device->lowers.end()) {
    return Relation::kLower;
  }
  return port.netdev == device->master ? Relation::kMaster : Relation::kNone;
}

// A member of a bond is known by its device where the GIDs of several are the
// bond's.
bool IsDeviceOf(const Nic& nic, const NetDevice* device) {
  return device != nullptr && device->kind != NetDeviceKind::kRepresentor &&
         device->place.pci.has_value() && device->place.pci == nic.place.pci &&
         device->place.device == nic.place.device;
}

// Those to which the netdev belongs most closely.
std::vector<const Nic*> NicsOf(const Machine& machine, absl::string_view name) {
  const NetDevice* device = FindNetDevice(machine, name);
  std::vector<const Nic*> nics;
  Relation closest = Relation::kMaster;
  for (const Nic& nic : machine.nics) {
    Relation relation = Relation::kNone;
    for (const NicPort& port : nic.ports) {
      relation = std::min(relation, RelationOf(port, name, device));
    }
    if (relation != Relation::kNone && IsDeviceOf(nic, device)) {
      relation = Relation::kNetDevice;
    }
    if (relation > closest) continue;
    if (relation < closest) nics.clear();
    closest = relation;
    nics.push_back(&nic);
  }
  return nics;
}

// The number of letters to change, add or take away (Levenshtein, 1965).
size_t Difference(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

// Of all names that FindNic takes, the one spelled most like `name`; empty if
// they have nothing in common.
std::string NearestName(const Machine& machine, absl::string_view name) {
  std::string nearest;
  size_t least = name.size();
  const auto consider = [&](const std::string& candidate) {
    const size_t difference = Difference(name, candidate);
    if (difference >= std::min(least, candidate.size())) return;
    least = difference;
    nearest = candidate;
  };
  for (const Nic& nic : machine.nics) consider(nic.name);
  for (const Nic& nic : machine.nics) {
    for (const NicPort& port : nic.ports) consider(port.netdev);
  }
  return nearest;
}

absl::Status NoSuchNic(const Machine& machine, absl::string_view name) {
  constexpr size_t kMaxName = 100;
  name = name.substr(0, kMaxName);
  std::string text = absl::StrCat("'", absl::CHexEscape(name), "' is ");
  absl::StrAppend(&text, FindNetDevice(machine, name) == nullptr
                             ? "neither an RDMA device nor a netdev of one"
                             : "a netdev that has no RDMA device");
  if (machine.nics.empty()) {
    return absl::NotFoundError(
        absl::StrCat(text, ", and the machine has no RDMA device at all"));
  }
  if (const std::string nearest = NearestName(machine, name);
      !nearest.empty()) {
    absl::StrAppend(&text, "; is ", nearest, " meant?");
  } else {
    absl::StrAppend(&text, ".");
  }
  return absl::NotFoundError(absl::StrCat(
      text, " There are ",
      absl::StrJoin(machine.nics, ", ", [](std::string* out, const Nic& nic) {
        absl::StrAppend(out, DescribeNic(nic));
      })));
}

}  // namespace

absl::StatusOr<const Nic*> FindNic(const Machine& machine,
                                   absl::string_view name) {
  for (const Nic& nic : machine.nics) {
    if (nic.name == name) return &nic;
  }
  const std::vector<const Nic*> nics = NicsOf(machine, name);
  if (nics.size() == 1) return nics.front();
  if (nics.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name, "' is the netdev of several RDMA devices, ",
                     absl::StrJoin(nics, ", ",
                                   [](std::string* out, const Nic* nic) {
                                     absl::StrAppend(out, nic->name);
                                   }),
                     ": name one of them"));
  }
  return NoSuchNic(machine, name);
}

std::string DescribeNic(const Nic& nic) {
  std::vector<std::string> parts;
  if (nic.virtual_function) parts.emplace_back("virtual function");
  if (nic.bond) parts.emplace_back("bond");
  for (const NicPort& port : nic.ports) {
    parts.push_back(absl::StrCat(
        "port ", port.number, " ", PortStateName(port.state),
        port.netdev.empty() ? "" : absl::StrCat(" on netdev ", port.netdev)));
  }
  if (nic.ports.empty()) parts.emplace_back("no ports");
  return absl::StrCat(nic.name, " (", absl::StrJoin(parts, ", "), ")");
}

}  // namespace te
