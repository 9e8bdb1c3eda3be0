#include "te/topology/net_sysfs.h"

#include <stdint.h>

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
#include "absl/strings/strip.h"
#include "te/topology/device_name.h"
#include "te/topology/sysfs.h"

namespace te {
namespace {

constexpr char kClass[] = "class/net";

// A number of an attribute, or 0: many drivers refuse to tell, and a speed of
// -1 means that it is unknown.
template <typename T>
T NumberOf(const Sysfs& sysfs, const std::string& path) {
  T value;
  const bool known =
      absl::SimpleAtoi(sysfs.Read(path).value_or(""), &value) && value > 0;
  return known ? value : 0;
}

NetDeviceKind KindOf(const Sysfs& sysfs, const std::string& folder) {
  constexpr int kLoopback = 772;  // ARPHRD_LOOPBACK of linux/if_arp.h
  if (NumberOf<int>(sysfs, folder + "/type") == kLoopback) {
    return NetDeviceKind::kLoopback;
  }
  const std::string uevent = sysfs.Read(folder + "/uevent").value_or("");
  if (absl::StrContains(uevent, "DEVTYPE=vlan")) return NetDeviceKind::kVlan;
  if (sysfs.Exists(folder + "/bonding")) return NetDeviceKind::kBond;
  if (sysfs.Exists(folder + "/bridge")) return NetDeviceKind::kBridge;
  if (!sysfs.Exists(folder + "/device")) return NetDeviceKind::kVirtual;
  // "pf0vf3", "c1pf0sf88" (devlink-port of the kernel's documentation); "p0" is
  // a port of the card.
  const std::string port = sysfs.Read(folder + "/phys_port_name").value_or("");
  if (absl::StrContains(port, "pf")) return NetDeviceKind::kRepresentor;
  return sysfs.Exists(folder + "/device/physfn")
             ? NetDeviceKind::kVirtualFunction
             : NetDeviceKind::kPhysical;
}

std::string NameOrNothing(std::string name) {
  return IsDeviceName(name) ? name : "";
}

NetDevice ReadDevice(const Sysfs& sysfs, const std::string& name,
                     std::vector<std::string>& warnings) {
  const std::string folder = absl::StrCat(kClass, "/", name);
  NetDevice device;
  device.name = name;
  device.kind = KindOf(sysfs, folder);
  device.place = ReadPlace(sysfs, folder + "/device", warnings);
  const std::string state = sysfs.Read(folder + "/operstate").value_or("");
  if (!state.empty()) device.operstate = state;
  device.speed_mbps = NumberOf<int64_t>(sysfs, folder + "/speed");
  device.mtu = NumberOf<int>(sysfs, folder + "/mtu");
  constexpr int kMaxPort = 255;
  device.port =
      1 + std::min(NumberOf<int>(sysfs, folder + "/dev_port"), kMaxPort - 1);
  device.master = NameOrNothing(sysfs.LinkName(folder + "/master"));
  for (const std::string& entry :
       sysfs.List(folder).value_or(std::vector<std::string>())) {
    absl::string_view lower = entry;
    if (absl::ConsumePrefix(&lower, "lower_") && IsDeviceName(lower)) {
      device.lowers.emplace_back(lower);
    }
  }
  return device;
}

}  // namespace

NetDevices ReadNetDevices(const Sysfs& sysfs) {
  NetDevices result;
  const absl::StatusOr<std::vector<std::string>> names = sysfs.List(kClass);
  if (!names.ok()) {
    result.warnings.push_back(std::string(names.status().message()));
    return result;
  }
  for (const std::string& name : *names) {
    // With bonding loaded, the file bonding_masters stands beside the devices.
    if (!sysfs.Exists(absl::StrCat(kClass, "/", name, "/uevent"))) continue;
    if (IsDeviceName(name)) {
      result.devices.push_back(ReadDevice(sysfs, name, result.warnings));
    } else {
      result.warnings.push_back(
          absl::StrCat(sysfs.root(), "/", kClass, ": '",
                       absl::CHexEscape(name.substr(0, 100)),
                       "' is no name of a network interface"));
    }
  }
  return result;
}

}  // namespace te
