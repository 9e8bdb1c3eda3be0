#ifndef TE_TOPOLOGY_DISCOVERY_H_
#define TE_TOPOLOGY_DISCOVERY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/topology/machine.h"

namespace te {

// This machine, as hwloc and /sys show it to this process: its network
// namespace decides which netdevs and GIDs there are. Takes some 10 ms, and
// opens no device. Fails only if hwloc does; what else is odd is in
// Machine::warnings. Thread-safe.
absl::StatusOr<Machine> DiscoverMachine();

// Any machine: of the XML that `lstopo --of xml` writes there, and a copy of
// its sysfs ("/sys" by its own name), or "" for none: then RDMA devices and
// netdevs are those that hwloc has seen, of which it knows less. Depends on
// nothing else. INVALID_ARGUMENT if the XML cannot be understood, NOT_FOUND if
// there is no sysfs.
absl::StatusOr<Machine> DiscoverMachine(absl::string_view hwloc_xml,
                                        const std::string& sysfs_root);

}  // namespace te

#endif  // TE_TOPOLOGY_DISCOVERY_H_
