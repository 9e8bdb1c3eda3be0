#ifndef TE_TRANSPORT_SHM_SHM_SERVER_H_
#define TE_TRANSPORT_SHM_SHM_SERVER_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/mapping_id.h"
#include "te/transport/shm/mapping_list.h"
#include "te/transport/shm/shm_options.h"

namespace te::shm {

// The owner's side: where peers of the same host connect to, are shown what
// they may touch, and are known to hold pins until they let go or die.
// Thread-safe.
class ShmServer {
 public:
  // For buffers in so many slots.
  static absl::StatusOr<std::unique_ptr<ShmServer>> Create(
      const ShmOptions& options, uint32_t slots);
  // Cuts everybody off, as DisconnectPeers.
  ~ShmServer();

  // The name of its unix socket. Everybody in this network namespace can find
  // it; the token is what makes a peer.
  const std::string& socket_name() const { return socket_name_; }

  // Whose connection it is.
  struct Client {
    Incarnation incarnation;
    uint64_t rail_id = 0;
    friend bool operator==(const Client&, const Client&) = default;
  };
  // Promises a connection to whoever says the token. Ends an earlier one of the
  // same client: kAborted if something is still under way there by `deadline`.
  absl::StatusOr<Token> Promise(const Client& client, MonotonicTime deadline);

  // Grants what the memory allows peers, and lets them map it if it has a
  // descriptor.
  GrantKey Grant(const LocalMemory& memory);
  // Peers that do not have a pin on it by now get none any more, and unmap it.
  void Withdraw(uint32_t slot);
  // Withdraws a grant, but for mappings, and waits until nobody has a pin on it
  // any more. DEADLINE_EXCEEDED names the processes that do: they are stopped,
  // or slow.
  absl::Status Revoke(uint32_t slot, MonotonicTime deadline);

  // No access by a peer is under way when it returns, but for those of
  // processes that have been stopped in the middle of one, which the log names:
  // nobody can take memory away from them. Revoke goes on to wait for these.
  void DisconnectPeers();

 private:
  // A connection: of a stranger until it has said Hello.
  struct Visitor {
    UniqueFd socket;
    MonotonicTime arrived;
    // --- Of a peer. ---
    Client client;
    pid_t pid = 0;
    // pidfd_open(2): sockets may be inherited by others, and survive.
    UniqueFd process;
    std::unique_ptr<PinTable> pins;
    Token token = {};
    bool cut = false;
    bool maps = false;
    MappingList::Untold untold;
    // To be told of it.
    bool awaits_room = false;
  };
  using Visitors = std::map<uint64_t, Visitor>;
  struct Promised {
    Client client;
    Token token;
    MonotonicTime until;
  };

  ShmServer(const ShmOptions& options, uint32_t slots, GrantTable grants)
      : options_(options), slots_(slots), grants_(std::move(grants)) {}

  absl::Status Start();
  void Run();
  void OnEvent(uint64_t id, bool process_ended, uint32_t happened);
  void AcceptSome();
  void ShutDoor(int error);
  // Tells all who map memory what is at that place now.
  void TellOf(MappingId mapping) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellUntold(Visitor& visitor, uint64_t id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoomForStranger() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Receive(Visitor& visitor, uint64_t id, bool& drop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Verdict Judge(Visitor& visitor, const Hello& hello)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Verdict Admit(Visitor& visitor, uint64_t id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Watch(int fd, uint64_t event);
  void Sweep();
  template <typename Predicate>
  void EraseIf(Predicate matches) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // To be called before a visitor is erased.
  void Dismiss(const Visitor& visitor) const;
  // The part of that which concerns its socket.
  void Hush(int socket) const;
  // Cuts those that `matches` accepts, and waits until nothing is under way
  // there, which it returns.
  template <typename Predicate>
  bool CutOff(Predicate matches, MonotonicTime deadline);
  template <typename Predicate>
  std::string PidsOf(Predicate matches) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ShmOptions options_;
  const uint32_t slots_;
  GrantTable grants_;
  std::string socket_name_;
  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd wake_;
  // The thread has begun.
  std::atomic<bool> alive_{false};
  std::atomic<bool> stopping_{false};
  // The thread's: it has run out of descriptors, and tries again then.
  std::optional<MonotonicTime> door_shut_until_;

  mutable Mutex mutex_;
  // Told when visitors go.
  CondVar changed_;
  // Nobody is admitted any more.
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  Visitors visitors_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_);
  std::list<Promised> promised_ ABSL_GUARDED_BY(mutex_);
  MappingList mappings_ ABSL_GUARDED_BY(mutex_);

  Thread thread_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_SHM_SERVER_H_
