#ifndef TE_BENCH_STARTUP_LOG_H_
#define TE_BENCH_STARTUP_LOG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "te/nic_choice.h"
#include "te/topology/advertised_address.h"
#include "te/topology/machine.h"
#include "te/topology/network_interfaces.h"
#include "te/topology/priority_matrix.h"

namespace te::bench {

// What the log says when the program starts, a line each: the interfaces, those
// that peers had better not be told of with the reason; the NUMA nodes, RDMA
// devices and GPUs; and which devices serve which memory, also such as the
// machine has not.
std::vector<std::string> DescribeInterfaces(
    absl::Span<const NetworkInterface> interfaces,
    const AdvertisingRanking& ranking);
std::vector<std::string> DescribeMachine(const Machine& machine);
std::vector<std::string> DescribeMatrix(const Machine& machine,
                                        const PriorityMatrix& matrix);

// This machine; one NUMA node without CPUs and nothing else if it cannot be
// found out, which is logged.
std::shared_ptr<const Machine> FindMachine();

// Logs all of it at level INFO. `nics` must have a machine.
void LogMachine(const NicOptions& nics);

}  // namespace te::bench

#endif  // TE_BENCH_STARTUP_LOG_H_
