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

bool HasGidOf(const NicPort& port, absl::string_view netdev) {
  return port.gids.has_value() &&
         std::any_of(port.gids->begin(), port.gids->end(),
                     [&](const GidEntry& gid) { return gid.netdev == netdev; });
}

// `device`: what is known of that netdev, or null.
bool HasNetDevice(const Nic& nic, absl::string_view name,
                  const NetDevice* device) {
  return std::any_of(nic.ports.begin(), nic.ports.end(),
                     [&](const NicPort& port) {
                       return port.netdev == name || HasGidOf(port, name) ||
                              (device != nullptr && !device->master.empty() &&
                               port.netdev == device->master);
                     });
}

const NetDevice* FindNetDevice(const Machine& machine, absl::string_view name) {
  for (const NetDevice& device : machine.net_devices) {
    if (device.name == name) return &device;
  }
  return nullptr;
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
        absl::StrCat(text, ", and this machine has no RDMA device at all"));
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
  const NetDevice* device = FindNetDevice(machine, name);
  for (const Nic& nic : machine.nics) {
    if (!name.empty() && HasNetDevice(nic, name, device)) return &nic;
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
