#ifndef TE_TRANSPORT_SHM_PEER_LINK_H_
#define TE_TRANSPORT_SHM_PEER_LINK_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/unique_fd.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/process_memory.h"
#include "te/transport/shm/shm_options.h"

namespace te::shm {

// A peer's side of a connection to the owner of memory. Thread-safe.
class PeerLink {
 public:
  // To the socket of that name. Errors say what stands in the way, and what
  // could be done about it.
  static absl::StatusOr<std::unique_ptr<PeerLink>> Connect(
      const ShmOptions& options, const std::string& socket_name,
      const Token& token, MonotonicTime deadline);
  ~PeerLink();

  const GrantedMemory& memory() const { return memory_; }
  // How to reach the owner's memory; null: it is this process, whose addresses
  // are those of the owner.
  const ProcessMemory* process() const {
    return process_.has_value() ? &*process_ : nullptr;
  }
  // Whether the owner has ended, or this connection.
  bool IsGone() const;
  // For people: "process 1234".
  std::string Describe() const;

 private:
  PeerLink(UniqueFd socket, GrantedMemory memory, pid_t pid,
           std::optional<ProcessMemory> process)
      : socket_(std::move(socket)),
        memory_(std::move(memory)),
        pid_(pid),
        process_(std::move(process)) {}

  const UniqueFd socket_;
  const GrantedMemory memory_;
  const pid_t pid_;
  const std::optional<ProcessMemory> process_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_PEER_LINK_H_
