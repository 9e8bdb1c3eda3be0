#ifndef TE_TOPOLOGY_HWLOC_TOPOLOGY_H_
#define TE_TOPOLOGY_HWLOC_TOPOLOGY_H_

#include <hwloc.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"

namespace te {

// What hwloc knows about a machine: this one, or one described by a text. It is
// a snapshot that never changes, so any number of threads may read it.
class HwlocTopology {
 public:
  // This machine, restricted to the CPUs and NUMA nodes that this process may
  // use (cgroup cpuset).
  static absl::StatusOr<HwlocTopology> OfThisMachine();

  // A machine of which `lstopo --of xml` has written down everything.
  // INVALID_ARGUMENT if hwloc cannot read it.
  static absl::StatusOr<HwlocTopology> FromXml(const std::string& xml);

  // A made-up machine in hwloc's notation: "numa:2 core:4 pu:2".
  // INVALID_ARGUMENT if hwloc cannot read it.
  static absl::StatusOr<HwlocTopology> FromSynthetic(
      const std::string& description);

  // For hwloc's functions that read.
  hwloc_topology_t get() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return topology_.get();
  }

 private:
  struct Destroy {
    void operator()(hwloc_topology_t topology) const {
      hwloc_topology_destroy(topology);
    }
  };
  using Owned =
      std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, Destroy>;

  explicit HwlocTopology(Owned topology) : topology_(std::move(topology)) {}

  static absl::StatusOr<Owned> New();

  Owned topology_;
};

}  // namespace te

#endif  // TE_TOPOLOGY_HWLOC_TOPOLOGY_H_
