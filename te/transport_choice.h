#ifndef TE_TRANSPORT_CHOICE_H_
#define TE_TRANSPORT_CHOICE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"
#include "te/nic_choice.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/verbs/verbs.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/tcp/tcp_options.h"

namespace te {

// INVALID_ARGUMENT if the protocol is none that there is.
absl::Status CheckProtocol(const std::string& protocol);

// See Options.
struct TransportOptions {
  std::string protocol;
  RdmaOptions rdma;
  std::shared_ptr<rdma::Verbs> verbs;
  ShmOptions shm;
  TcpOptions tcp;
  size_t max_buffers = 0;
  // Of this kernel; see HostIdentity.
  std::string boot_id;
};

// What `options.protocol` means on this machine, the best first. `nics` are
// those to use.
//
// "rdma" without a NIC that can be used is NOT_FOUND and says which there are,
// and what is wrong with them; "auto" then goes on with TCP, and logs why.
// Errors of a transport begin with "protocol rdma: ".
absl::StatusOr<decltype(EngineParts::transports)> ChooseTransports(
    const TransportOptions& options, const NicChoice& nics);

}  // namespace te

#endif  // TE_TRANSPORT_CHOICE_H_
