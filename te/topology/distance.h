#ifndef TE_TOPOLOGY_DISTANCE_H_
#define TE_TOPOLOGY_DISTANCE_H_

#include <stdint.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/memory_location.h"
#include "te/topology/device_place.h"
#include "te/topology/machine.h"

namespace te {

// What lies between memory and a NIC, the best first.
enum class Proximity : uint8_t {
  // No CPU: both are below one PCIe switch. Of GPU memory alone.
  kSameSwitch,
  // The PCIe root complex of a CPU. Of GPU memory alone.
  kSameRootComplex,
  kSameNumaNode,
  // A part of a socket that is divided into several NUMA nodes.
  kSameSocket,
  // The link between sockets; also where nobody knows.
  kOtherSocket,
};

// "same_switch", "same_root_complex", "same_numa_node", "same_socket",
// "other_socket".
absl::string_view ProximityName(Proximity proximity);

// A value; the smaller one is nearer.
struct Distance {
  // ACPI SLIT: no path. Here also for what the firmware does not say.
  static constexpr int kUnknownLatency = 255;

  Proximity proximity = Proximity::kOtherSocket;
  // Between the NUMA nodes, as Machine::numa_latencies.
  int numa_latency = kUnknownLatency;

  friend bool operator==(const Distance&, const Distance&) = default;
  friend bool operator<(const Distance& a, const Distance& b) {
    return std::tie(a.proximity, a.numa_latency) <
           std::tie(b.proximity, b.numa_latency);
  }
};

// The locations of memory that a machine has: NUMA nodes with memory, GPUs, and
// last "*".
std::vector<MemoryLocation> LocationsOf(const Machine& machine);

// Where that memory is: a NUMA node; of a GPU's, also if it is a NUMA node, the
// GPU. NOT_FOUND names the locations that there are. Of "*" it is unknown.
absl::StatusOr<DevicePlace> PlaceOf(const Machine& machine,
                                    MemoryLocation location);

// Symmetric. Thread-safe, as all here: pure functions.
Distance DistanceBetween(const Machine& machine, const DevicePlace& a,
                         const DevicePlace& b);

// The way from `memory` to `device` in words: "next to NUMA node 1, in another
// socket (NUMA latency 21)".
std::string DescribeWay(const Machine& machine, const DevicePlace& memory,
                        const DevicePlace& device);

}  // namespace te

#endif  // TE_TOPOLOGY_DISTANCE_H_
