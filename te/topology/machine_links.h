#ifndef TE_TOPOLOGY_MACHINE_LINKS_H_
#define TE_TOPOLOGY_MACHINE_LINKS_H_

#include "te/topology/machine.h"

namespace te {

// The steps of discovery that see one part of a machine in the light of the
// others. They come last, in this order.

// Gives each port the netdev that is of the same device, or the bond of that.
// Takes away names of netdevs that GIDs have and the machine has not, or has
// for something else: they are of another network namespace. Marks bonds.
void LinkNetDevices(Machine& machine);

// Makes the NUMA nodes of all places such that exist, ascending, and of memory
// beside memory the one that is nearest; empty where it is any of many.
void RefineNodes(Machine& machine);

}  // namespace te

#endif  // TE_TOPOLOGY_MACHINE_LINKS_H_
