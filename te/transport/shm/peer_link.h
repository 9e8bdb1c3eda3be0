#ifndef TE_TRANSPORT_SHM_PEER_LINK_H_
#define TE_TRANSPORT_SHM_PEER_LINK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/link_watcher.h"
#include "te/transport/shm/mapped_memory.h"
#include "te/transport/shm/process_memory.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/shm/unix_socket.h"
#include "te/transport/slice.h"

namespace te::shm {

// A peer's side of a connection to the owner of memory. Thread-safe.
class PeerLink final : private LinkWatcher::Listener {
 public:
  // To the socket of that name. Errors say what stands in the way, and what
  // could be done about it. `watcher`, which lasts until Retire, has it hear
  // what the owner says also while nobody uses it: so it keeps no memory that
  // the owner has given up. Null: only when it is used.
  static absl::StatusOr<std::unique_ptr<PeerLink>> Connect(
      const ShmOptions& options, const std::string& socket_name,
      const Token& token, MonotonicTime deadline,
      LinkWatcher* watcher = nullptr);
  ~PeerLink();

  const GrantedMemory& memory() const { return memory_; }
  // How to reach the owner's memory; null: it is this process, whose addresses
  // are those of the owner.
  const ProcessMemory* process() const {
    return process_.has_value() ? &*process_ : nullptr;
  }
  // Where so many bytes of what is pinned are in this process, if they are
  // mapped, until Leave; else null.
  std::byte* Enter(const Pinned& pinned, uint64_t bytes, Operation operation);
  void Leave(const Pinned& pinned) { mapped_.Leave(pinned.mapping); }
  // Whether the owner has ended, or this connection.
  bool IsGone() const;
  // Nobody is in the mappings any more, nor will be: unmaps them, and does not
  // need the watcher any longer. May be called again.
  void Retire();
  // For people: "process 1234".
  std::string Describe() const;

 private:
  PeerLink(UniqueFd socket, GrantedMemory memory, pid_t pid,
           std::optional<ProcessMemory> process, bool maps)
      : socket_(std::move(socket)),
        memory_(std::move(memory)),
        pid_(pid),
        process_(std::move(process)),
        maps_(maps) {}

  // Takes in what the owner has said meanwhile.
  void Hear();
  absl::Status Take(const MappingNotice& notice, Message message);
  bool OnEvent() override;

  const UniqueFd socket_;
  const GrantedMemory memory_;
  const pid_t pid_;
  const std::optional<ProcessMemory> process_;
  const bool maps_;
  MappedMemory mapped_;
  // The serial of the latest mapping that could not be made.
  std::atomic<uint32_t> failed_{0};
  // For one at a time who hears.
  Mutex hearing_;
  Mutex retiring_;
  LinkWatcher* watcher_ ABSL_GUARDED_BY(retiring_) = nullptr;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_PEER_LINK_H_
