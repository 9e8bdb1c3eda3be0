#ifndef TE_TOPOLOGY_MACHINE_SUMMARY_H_
#define TE_TOPOLOGY_MACHINE_SUMMARY_H_

#include <string>

#include "te/topology/machine.h"

namespace te {

// For a line of a log: "2 NUMA nodes, 2 RDMA devices of which 1 cannot be used
// (mlx5_1: port 1 is DOWN), 8 GPUs".
std::string SummarizeMachine(const Machine& machine);

}  // namespace te

#endif  // TE_TOPOLOGY_MACHINE_SUMMARY_H_
