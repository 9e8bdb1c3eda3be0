#ifndef TE_TOPOLOGY_NIC_RANKING_H_
#define TE_TOPOLOGY_NIC_RANKING_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/priority_matrix.h"

namespace te {

// What a user wants of the choice of NICs. Names are of RDMA devices or of
// their netdevs, as FindNic takes them.
struct NicPolicy {
  // Only these; empty means all.
  std::vector<std::string> allowed;
  // All but these.
  std::vector<std::string> denied;
  // Processes that share a host and have numbers that differ, as local ranks
  // do, begin with different ones of the NICs that are equally good: a group of
  // n is rotated by spread mod n.
  uint32_t spread = 0;
};

enum class Standing : uint8_t { kPreferred, kFallback, kLeftOut };

// Where a NIC stands for one location of memory, and why.
struct RankedNic {
  size_t nic = 0;  // an index of Machine::nics
  Standing standing = Standing::kLeftOut;
  Distance distance;
  // For people: "next to NUMA node 0", "left out: port 1 is DOWN".
  std::string reason;
};

// All NICs of the machine, the best for `location` first. Preferred are those
// that are nearest, whatever that is, so there are some unless none can be
// used; then follow the others by their distance. Of NICs equally near the
// faster ones come first. For "*" all are equally near. Left out, at the end,
// are those that cannot be used now, and those that the policy excludes.
//
// NOT_FOUND names a location, or a NIC of the policy, that does not exist;
// INVALID_ARGUMENT one that is both allowed and denied. A pure function, as the
// next one.
absl::StatusOr<std::vector<RankedNic>> RankNics(const Machine& machine,
                                                MemoryLocation location,
                                                const NicPolicy& policy);

// The ranking of all locations, of each the best PriorityMatrix::kMaxNics.
// Without a NIC that can be used it is empty.
absl::StatusOr<PriorityMatrix> MakeMatrix(const Machine& machine,
                                          const NicPolicy& policy);

// `matrix` with the names of RDMA devices in place of those of their netdevs.
// NOT_FOUND names a NIC that the machine does not have; INVALID_ARGUMENT one
// that a location then has twice.
absl::StatusOr<PriorityMatrix> ResolveMatrix(const Machine& machine,
                                             const PriorityMatrix& matrix);

}  // namespace te

#endif  // TE_TOPOLOGY_NIC_RANKING_H_
