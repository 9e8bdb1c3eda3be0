#ifndef TE_RDMA_RDMA_TRANSPORT_H_
#define TE_RDMA_RDMA_TRANSPORT_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/incarnation.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/verbs/verbs.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/transport.h"

namespace te {

// What the transport stands on.
struct RdmaParts {
  // The system's (LoadSystemVerbs), or emulated ones.
  std::shared_ptr<rdma::Verbs> verbs;
  // Which NICs serve which memory. All that it names are opened.
  PriorityMatrix matrix;
  // The CPUs next to a NIC, for the thread that serves it; by the NIC's name.
  std::map<std::string, std::vector<int>> cpus;
  // LocalMemory::slot is below that.
  size_t max_buffers = 0;
};

// One-sided READ and WRITE by RDMA, over reliable connections. Opens the
// devices, and logs what they are. `self` is the engine's incarnation.
//
// INVALID_ARGUMENT: an option is out of its range; NOT_FOUND: there is no such
// device, and which there are; UNAVAILABLE: no port is active. Otherwise the
// error of the verb that failed; nothing is open then.
absl::StatusOr<std::unique_ptr<Transport>> CreateRdmaTransport(
    const RdmaOptions& options, const Incarnation& self, RdmaParts parts);

}  // namespace te

#endif  // TE_RDMA_RDMA_TRANSPORT_H_
