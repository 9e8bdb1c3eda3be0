#ifndef TE_TOPOLOGY_NIC_LOOKUP_H_
#define TE_TOPOLOGY_NIC_LOOKUP_H_

#include <string>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"

namespace te {

// The RDMA device that `name` means: its own ("mlx5_1"), or that of its netdev,
// of the bond that this is in, or of a VLAN upon it ("enp61s0f1np1", "bond0",
// "bond0.100"). NOT_FOUND says which there are, and which is spelled most like
// it; INVALID_ARGUMENT names several that are meant alike. A pure function.
absl::StatusOr<const Nic*> FindNic(const Machine& machine
                                       ABSL_ATTRIBUTE_LIFETIME_BOUND,
                                   absl::string_view name);

// "mlx5_1 (port 1 ACTIVE on netdev enp61s0f1np1)".
std::string DescribeNic(const Nic& nic);

}  // namespace te

#endif  // TE_TOPOLOGY_NIC_LOOKUP_H_
