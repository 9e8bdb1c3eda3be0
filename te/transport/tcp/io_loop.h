#ifndef TE_TRANSPORT_TCP_IO_LOOP_H_
#define TE_TRANSPORT_TCP_IO_LOOP_H_

#include <pthread.h>
#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te::tcp {

// A thread that waits for sockets. After traffic it goes on looking for more
// for a while before it sleeps, since waking it costs more than most transfers;
// at rest it uses no CPU.
//
// All methods are thread-safe and may be called from a client's callbacks. The
// loop must outlive everything that was added to it.
class IoLoop {
 public:
  // What a client's look at its socket came to.
  enum class Outcome {
    kMoved,   // bytes moved: more may follow soon
    kIdle,    // nothing this time
    kLeftTo,  // another thread looks after the socket: do not spin for it
  };

  class Client {
   public:
    virtual ~Client() = default;
    // On the loop's thread: `events` (EPOLLIN…) happened, or, when 0, the loop
    // just looks whether there is anything. Must not block.
    virtual Outcome OnReady(uint32_t events) = 0;
    // On the loop's thread: it stops looking, and calls again on events only.
    virtual void OnRest() {}
  };

  using Id = uint64_t;

  // `spin`: how long it looks for more after traffic; zero switches that off.
  static absl::StatusOr<std::unique_ptr<IoLoop>> Create(std::string name,
                                                        Duration spin);
  // Every client must have been removed.
  ~IoLoop();

  // Calls `client` when `events` happen to `fd`, which the client keeps open
  // until it has been removed. The events are those of epoll_ctl(2). `id` is
  // set before the first call.
  absl::Status Add(int fd, uint32_t events, std::shared_ptr<Client> client,
                   Id& id);
  // Replaces the events; also arms an EPOLLONESHOT once more.
  void Modify(Id id, int fd, uint32_t events);
  // When it returns no callback of the client is running, unless this is one,
  // and none will be made. Waits for a running one. Unknown ids are ignored.
  void Remove(Id id, int fd);

 private:
  // While the loop spins, more clients than that are left to epoll alone.
  static constexpr size_t kMaxHot = 8;
  static constexpr int kMaxEvents = 64;

  IoLoop(Duration spin, UniqueFd epoll, UniqueFd wake);

  void Run();
  bool Dispatch(absl::Span<const epoll_event> events);
  std::shared_ptr<Client> Find(Id id);
  Outcome CallOnReady(Id id, uint32_t events);
  void CallOnRest(Id id);
  bool PollHot();
  void Rest();
  void Heat(Id id);
  void Cool(Id id);
  bool OnLoopThread() const;

  const Duration spin_;
  const UniqueFd epoll_;
  const UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<pthread_t> thread_id_{};

  // Held for each callback, so that Remove can wait for it. Contended only
  // then.
  Mutex dispatch_;
  // Held briefly: the loop's thread may need it while it holds dispatch_.
  Mutex mutex_ ABSL_ACQUIRED_AFTER(dispatch_);
  Id next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<Id, std::shared_ptr<Client>> clients_
      ABSL_GUARDED_BY(mutex_);

  // Of the loop's thread: who had traffic lately.
  std::vector<Id> hot_;

  Thread thread_;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_IO_LOOP_H_
