#ifndef TE_RDMA_HANDSHAKE_H_
#define TE_RDMA_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/incarnation.h"
#include "te/rdma/queue_pair.h"
#include "te/topology/nic.h"

namespace te::rdma {

// Grows with each change that an older release would misunderstand.
inline constexpr uint32_t kWireVersion = 1;

inline constexpr size_t kMaxQueuePairs = 64;
inline constexpr uint32_t kMaxNics = 256;
inline constexpr size_t kMaxHandshakeBytes = size_t{256} << 10;

// One end of an endpoint: the port, and the queue pairs on it. Values, as those
// below, in which everything that came from a peer is in bounds, if not true.
struct EndpointOffer {
  std::string device;
  NicPort port;  // with GIDs
  int mtu = 0;
  std::vector<QueuePairAddress> queue_pairs;
  int read_depth = 1;

  friend bool operator==(const EndpointOffer&, const EndpointOffer&) = default;
};

struct HandshakeRequest {
  // The engine that is meant.
  Incarnation server;
  uint64_t rail_id = 0;
  uint64_t session = 0;
  uint64_t epoch = 0;
  uint32_t client_nic = 0;
  uint32_t server_nic = 0;
  // Nothing: only take down what there is.
  std::optional<EndpointOffer> offer;

  friend bool operator==(const HandshakeRequest&,
                         const HandshakeRequest&) = default;
};

struct HandshakeResponse {
  std::optional<EndpointOffer> offer;
  uint32_t nics = 1;
  uint32_t server_nic = 0;  // below `nics`
  // Nothing: by LID.
  std::optional<int> client_gid_index;

  friend bool operator==(const HandshakeResponse&,
                         const HandshakeResponse&) = default;
};

std::string Serialize(const HandshakeRequest& request);
std::string Serialize(const HandshakeResponse& response);

// INVALID_ARGUMENT says what is wrong; FAILED_PRECONDITION that the peer speaks
// another version.
absl::StatusOr<HandshakeRequest> ParseRequest(absl::string_view bytes);
absl::StatusOr<HandshakeResponse> ParseResponse(absl::string_view bytes);

}  // namespace te::rdma

#endif  // TE_RDMA_HANDSHAKE_H_
