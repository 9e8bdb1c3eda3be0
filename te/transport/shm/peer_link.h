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
  // Whether the owner is this process, whose addresses are the owner's, and
  // nothing else is needed.
  bool is_self() const { return is_self_; }
  // How the kernel reaches the owner's memory; null: it does not, for which
  // limits has the reason, and only mapped memory can be reached.
  const ProcessMemory* process() const {
    return process_.has_value() ? &*process_ : nullptr;
  }
  const std::string& limits() const { return limits_; }
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
  // Of an owner, and not yet of its memory.
  struct Owner {
    pid_t pid = 0;
    bool is_self = false;
    bool maps = false;
  };

  PeerLink(UniqueFd socket, GrantedMemory memory, const Owner& owner)
      : socket_(std::move(socket)),
        memory_(std::move(memory)),
        pid_(owner.pid),
        is_self_(owner.is_self),
        maps_(owner.maps) {}

  absl::Status OpenProcess(const ShmOptions& options, const Welcome& welcome,
                           const Token& token);
  absl::Status AwaitMappings(MonotonicTime deadline);
  absl::Status HearBy(LinkWatcher& watcher);
  // Takes in what the owner has said meanwhile.
  void Hear();
  absl::Status Take(const MappingNotice& notice, Message message);
  bool OnEvent() override;

  const UniqueFd socket_;
  const GrantedMemory memory_;
  const pid_t pid_;
  const bool is_self_;
  const bool maps_;
  // Do not change once Connect has returned.
  std::optional<ProcessMemory> process_;
  std::string limits_;
  MappedMemory mapped_;
  // There is or was some mapping, and all that there were at first are there.
  std::atomic<bool> has_mapped_{false};
  std::atomic<bool> told_all_{false};
  // The serial of the latest mapping that could not be made.
  std::atomic<uint32_t> failed_{0};
  // For one at a time who hears.
  Mutex hearing_;
  Mutex retiring_;
  LinkWatcher* watcher_ ABSL_GUARDED_BY(retiring_) = nullptr;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_PEER_LINK_H_
