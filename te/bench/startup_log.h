#ifndef TE_BENCH_STARTUP_LOG_H_
#define TE_BENCH_STARTUP_LOG_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "te/topology/advertised_address.h"
#include "te/topology/network_interfaces.h"
#include "te/topology/numa_node.h"

namespace te::bench {

// What the log says when the program starts, a line each: the interfaces, those
// that peers had better not be told of with the reason, and the NUMA nodes.
std::vector<std::string> DescribeInterfaces(
    absl::Span<const NetworkInterface> interfaces,
    const AdvertisingRanking& ranking);
std::vector<std::string> DescribeNodes(absl::Span<const NumaNode> nodes);

// The NUMA nodes of this machine; one node without CPUs if they cannot be found
// out, which is logged.
std::vector<NumaNode> FindNodes();

// Logs all of it at level INFO.
void LogMachine(absl::Span<const NumaNode> nodes);

}  // namespace te::bench

#endif  // TE_BENCH_STARTUP_LOG_H_
