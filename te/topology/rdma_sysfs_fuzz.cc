// The kernel's files may have anything in them, as far as we are concerned. The
// input has lines: the first is the state, then link layer, rate, LID, a GID,
// its type and its netdev.

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
#include "te/topology/nic.h"
#include "te/topology/rdma_sysfs.h"
#include "te/topology/sysfs.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

constexpr const char* kFiles[] = {"state",
                                  "link_layer",
                                  "rate",
                                  "lid",
                                  "gids/0",
                                  "gid_attrs/types/0",
                                  "gid_attrs/ndevs/0"};

void TestOne(absl::string_view input) {
  static const SysfsCopy copy(
      "[class/infiniband/mlx5_0/ports/1]\n"
      "gids/0 = ::\n"
      "gid_attrs/types/\n"
      "gid_attrs/ndevs/\n");
  const std::vector<absl::string_view> lines = absl::StrSplit(input, '\n');
  for (size_t i = 0; i < std::size(kFiles); ++i) {
    std::ofstream(absl::StrCat(copy.root(), "/class/infiniband/mlx5_0/ports/1/",
                               kFiles[i]))
        << (i < lines.size() ? lines[i] : "");
  }
  const RdmaDevices devices = ReadRdmaDevices(Sysfs(copy.root()));
  CHECK_EQ(devices.nics.size(), 1U);
  const NicPort& port = devices.nics.front().ports.front();
  CHECK(port.rate_gbps >= 0 && port.rate_gbps < 1e6);
  CHECK(port.netdev.empty() || IsDeviceName(port.netdev));
}

}  // namespace
}  // namespace te

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::TestOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
