#ifndef TE_TRANSPORT_SHM_COPY_POOL_H_
#define TE_TRANSPORT_SHM_COPY_POOL_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"

namespace te::shm {

// A few threads that help whoever has much to copy. Thread-safe.
class CopyPool {
 public:
  // Somebody who has work at times.
  class Client {
   public:
    virtual ~Client() = default;
    // Does a piece of what there is, if there is any.
    virtual void Help() = 0;
    virtual bool has_work() const = 0;

   private:
    friend class CopyPool;
    // Guarded by the pool's mutex: its place in the queue, which keeps it.
    std::shared_ptr<Client> self_;
    Client* next_ = nullptr;
  };

  // Of so many threads, each like `thread`: te-shm-0 and so on.
  static absl::StatusOr<std::unique_ptr<CopyPool>> Create(
      int threads, const ThreadOptions& thread = {.name = "te-shm"});
  // Forgets who is still waiting.
  ~CopyPool();

  // To be called after work has come up. All threads help the client, if they
  // have nothing else to do, until it has none any more. Does not allocate.
  void Offer(std::shared_ptr<Client> client);

  // Returns when no thread helps any more. For one thread.
  void Stop();
  // Lets go of one who waits in vain, as the pool has stopped. False: nobody
  // did.
  bool ForgetOne();

 private:
  CopyPool() = default;
  void Run();
  // Waits for one, which may have nothing to do any more; null: the pool ends.
  std::shared_ptr<Client> Next();
  void Append(Client& client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Client> PopFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar offered_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // In turn, each once.
  Client* head_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Client* tail_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<Thread> threads_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_COPY_POOL_H_
