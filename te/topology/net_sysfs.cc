#include "te/topology/net_sysfs.h"

#include <stdint.h>

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
  return sysfs.Exists(folder + "/device/physfn")
             ? NetDeviceKind::kVirtualFunction
             : NetDeviceKind::kPhysical;
}

NetDevice ReadDevice(const Sysfs& sysfs, const std::string& name) {
  const std::string folder = absl::StrCat(kClass, "/", name);
  NetDevice device;
  device.name = name;
  device.kind = KindOf(sysfs, folder);
  device.place.pci = sysfs.PciFunctionOf(folder + "/device");
  int node;
  if (absl::SimpleAtoi(sysfs.Read(folder + "/device/numa_node").value_or("-1"),
                       &node) &&
      node >= 0) {
    device.place.nodes = {node};
  }
  const std::string state = sysfs.Read(folder + "/operstate").value_or("");
  if (!state.empty()) device.operstate = state;
  device.speed_mbps = NumberOf<int64_t>(sysfs, folder + "/speed");
  device.mtu = NumberOf<int>(sysfs, folder + "/mtu");
  device.port = 1 + NumberOf<int>(sysfs, folder + "/dev_port");
  device.master = sysfs.LinkName(folder + "/master");
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
      result.devices.push_back(ReadDevice(sysfs, name));
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
