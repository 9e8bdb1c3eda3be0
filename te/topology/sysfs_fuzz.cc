// The kernel's files may have anything in them, as far as we are concerned. The
// input has lines, one for each file of kFiles.

#include <stddef.h>
#include <stdint.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/topology/device_name.h"
#include "te/topology/net_sysfs.h"
#include "te/topology/nic.h"
#include "te/topology/rdma_sysfs.h"
#include "te/topology/sysfs.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

constexpr const char* kFiles[] = {
    "infiniband/mlx5_0/ports/1/state",
    "infiniband/mlx5_0/ports/1/link_layer",
    "infiniband/mlx5_0/ports/1/rate",
    "infiniband/mlx5_0/ports/1/lid",
    "infiniband/mlx5_0/ports/1/gids/0",
    "infiniband/mlx5_0/ports/1/gid_attrs/types/0",
    "infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0",
    "infiniband/mlx5_0/node_type",
    "net/eth0/uevent",
    "net/eth0/operstate",
    "net/eth0/speed",
    "net/eth0/mtu",
    "net/eth0/type",
    "net/eth0/dev_port",
    "net/eth0/phys_port_name",
    "net/eth0/device/numa_node",
};

void TestOne(absl::string_view input) {
  static const SysfsCopy copy(
      "[class/infiniband/mlx5_0/ports/1]\n"
      "gids/0 = ::\n"
      "gid_attrs/types/\n"
      "gid_attrs/ndevs/\n"
      "[class/net/eth0/device]\n");
  const std::vector<absl::string_view> lines = absl::StrSplit(input, '\n');
  for (size_t i = 0; i < std::size(kFiles); ++i) {
    std::ofstream(absl::StrCat(copy.root(), "/class/", kFiles[i]))
        << (i < lines.size() ? lines[i] : "");
  }
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  CHECK_EQ(devices.nics.size(), 1U);
  const NicPort& port = devices.nics.front().ports.front();
  CHECK(port.rate_gbps >= 0 && port.rate_gbps < 1e6);
  CHECK(port.netdev.empty() || IsDeviceName(port.netdev));
  const NetDevices net = ReadNetDevices(Sysfs(copy.root()));
  CHECK_EQ(net.devices.size(), 1U);
  CHECK(net.devices[0].port >= 1 && net.devices[0].port <= 255);
}

}  // namespace
}  // namespace te

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::TestOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
