#ifndef TE_TRANSPORT_SHM_SHM_TRANSPORT_H_
#define TE_TRANSPORT_SHM_SHM_TRANSPORT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/incarnation.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/transport.h"

namespace te {

inline constexpr char kShmTransportName[] = "shm";

// What the transport is told of the process that it is in.
struct ShmParts {
  // Of the kernel (HostIdentity).
  std::string boot_id;
  // Buffers have slots below that.
  uint32_t max_buffers = 0;
  // The CPUs next to each NUMA node, by its number. With fewer than two nodes
  // the threads that copy are not bound.
  std::map<int, std::vector<int>> node_cpus;
};

// One-sided READ and WRITE between processes of one host, which copy once, and
// between engines of one process. `self` is the engine's incarnation.
//
// Locality is proven, not guessed: both have the same boot id, one finds the
// other's unix socket, whose owner the kernel names, and reads there, with the
// same call that will move the data, what the handshake has promised. Connect
// says which of these has failed.
//
// kInvalidArgument: an option is out of its range. kUnavailable: there is no
// boot id. Otherwise the error of the system call that failed.
absl::StatusOr<std::unique_ptr<Transport>> CreateShmTransport(
    const ShmOptions& options, const Incarnation& self, const ShmParts& parts);

}  // namespace te

#endif  // TE_TRANSPORT_SHM_SHM_TRANSPORT_H_
