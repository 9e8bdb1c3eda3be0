#ifndef TE_TOPOLOGY_RDMA_SYSFS_H_
#define TE_TOPOLOGY_RDMA_SYSFS_H_

#include <string>
#include <vector>

#include "te/topology/nic.h"
#include "te/topology/sysfs.h"

namespace te {

// The RDMA devices of a sysfs.
struct RdmaDevices {
  // By name. Of their places the PCI address and the NUMA node are filled in,
  // as far as sysfs knows them; of their ports' netdevs those that the GID
  // tables name.
  std::vector<Nic> nics;
  std::vector<std::string> warnings;
};

// Reads class/infiniband, of which there is none on many machines. No verbs
// library is needed, and no device is opened. What cannot be understood or has
// vanished is left out with a warning that names it. Thread-safe.
RdmaDevices ReadRdmaDevices(const Sysfs& sysfs);

}  // namespace te

#endif  // TE_TOPOLOGY_RDMA_SYSFS_H_
