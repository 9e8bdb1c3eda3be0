#ifndef TE_TOPOLOGY_NET_SYSFS_H_
#define TE_TOPOLOGY_NET_SYSFS_H_

#include <string>
#include <vector>

#include "te/topology/net_device.h"
#include "te/topology/sysfs.h"

namespace te {

// The network interfaces of a sysfs.
struct NetDevices {
  // By name. Of their places the PCI address and the NUMA node are filled in,
  // as far as sysfs knows them.
  std::vector<NetDevice> devices;
  std::vector<std::string> warnings;
};

// Reads class/net. What cannot be understood is left out with a warning that
// names it. Thread-safe.
NetDevices ReadNetDevices(const Sysfs& sysfs);

}  // namespace te

#endif  // TE_TOPOLOGY_NET_SYSFS_H_
