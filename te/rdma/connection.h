#ifndef TE_RDMA_CONNECTION_H_
#define TE_RDMA_CONNECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/rdma/device.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/send_queue.h"

namespace te::rdma {

// Queue pairs between two NICs, with a queue for their completions. Owned by an
// endpoint. Thread-compatible; see SendQueue for its parts.
struct Connection {
  EndpointStore::Place place;
  CompletionQueueObject completions;
  // After `completions`, so that they go before it.
  std::vector<std::unique_ptr<SendQueue>> queues;
  QueuePairLimits limits;
  // The number of the peer's NIC, whose keys are to be used, and
  // how many it has.
  size_t remote_nic = 0;
  size_t remote_nics = 1;
  // Of one work request.
  uint32_t max_message_bytes = 0;
  // Both ends, for people.
  std::string description;
};

// Work requests of each queue pair: `options.max_wr`, or what the device can
// do, which must have a completion for each of all `options.num_qp` pairs.
int MaxWr(const Device& device, const RdmaOptions& options);

// Queue pairs in the state INIT, `options.num_qp` of them, and a completion
// queue for as many completions as they can have; the queue wakes `client`.
absl::StatusOr<std::unique_ptr<Connection>> MakeConnection(
    NicUnit& nic, const RdmaOptions& options, EndpointStore::Place place,
    DeviceWorker::Client& client);

// Destroys the queue pairs, and then the completion queue.
void DropConnection(NicUnit& nic, std::unique_ptr<Connection> connection);

// What the peer must know to connect to it.
EndpointOffer OfferOf(const NicUnit& nic, const Connection& connection,
                      const RdmaOptions& options);

// To RTS, with what the peer's server has answered. INVALID_ARGUMENT: the
// answer makes no sense.
absl::Status Connect(const NicUnit& nic, const HandshakeResponse& response,
                     const RdmaOptions& options, Connection& connection);

// The path from `nic` to the port of `remote`, as both ends have agreed on it.
// `gid_index` is of the local table; nothing: by LID.
Path PathTo(const EndpointOffer& remote, const std::optional<int>& gid_index,
            const RdmaOptions& options, int local_mtu);

// "mlx5_0 port 1 (ACTIVE, MTU 4096, GID 3 ::ffff:10.0.0.1)".
std::string DescribeEnd(absl::string_view device, const NicPort& port, int mtu,
                        const std::optional<int>& gid_index);

}  // namespace te::rdma

#endif  // TE_RDMA_CONNECTION_H_
