#ifndef TE_TOPOLOGY_HWLOC_XML_H_
#define TE_TOPOLOGY_HWLOC_XML_H_

#include <string>

#include "absl/status/statusor.h"

namespace te {

// What hwloc finds out about this machine, as XML, which lstopo reads and
// ParseHwlocTree too: what is found here takes the way of what is read from a
// file. All of the machine is in it, and which parts this process may use.
//
// Caches, cores and disks are left out, and so is what hwloc's plugins would
// add: starting CUDA, OpenCL and an X server's extensions takes half a second.
// Thread-safe: one thread at a time asks hwloc, which cannot do with more.
absl::StatusOr<std::string> HwlocXmlOfThisMachine();

}  // namespace te

#endif  // TE_TOPOLOGY_HWLOC_XML_H_
