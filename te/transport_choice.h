#ifndef TE_TRANSPORT_CHOICE_H_
#define TE_TRANSPORT_CHOICE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"
#include "te/nic_choice.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/verbs/verbs.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/tcp/tcp_options.h"

namespace te {

// See Options.
struct TransportOptions {
  std::string protocol;
  std::vector<std::string> forbidden;
  std::vector<std::string> preferred;
  RdmaOptions rdma;
  std::shared_ptr<rdma::Verbs> verbs;
  ShmOptions shm;
  TcpOptions tcp;
  size_t max_buffers = 0;
  // Of this kernel; see HostIdentity.
  std::string boot_id;
};

// The names of the transports that the options allow, in the order in which
// they are to be tried. INVALID_ARGUMENT: a name is none, or none is left.
absl::StatusOr<std::vector<std::string>> OrderProtocols(
    const TransportOptions& options);

// What the options mean on this machine, the best first. `nics` are those to
// use.
//
// "rdma" without a NIC that can be used is NOT_FOUND and says which there are,
// and what is wrong with them; "auto" then goes on without, and logs why.
// Errors of a transport begin with "protocol rdma: ".
absl::StatusOr<decltype(EngineParts::transports)> ChooseTransports(
    const TransportOptions& options, const NicChoice& nics);

}  // namespace te

#endif  // TE_TRANSPORT_CHOICE_H_
