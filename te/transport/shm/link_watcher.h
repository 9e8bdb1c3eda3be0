#ifndef TE_TRANSPORT_SHM_LINK_WATCHER_H_
#define TE_TRANSPORT_SHM_LINK_WATCHER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te::shm {

// A thread that hears what others say and that they have ended, also while
// nobody uses the links to them. Thread-safe.
class LinkWatcher {
 public:
  class Listener {
   public:
    // Something has come in on a descriptor. False: there is nothing more to
    // come. On the watcher's thread; must not call the watcher.
    virtual bool OnEvent() = 0;

   protected:
    ~Listener() = default;
  };

  static absl::StatusOr<std::unique_ptr<LinkWatcher>> Create();
  // Nobody listens any more.
  ~LinkWatcher();

  // Tells the listener when one of these can be read, or its other end has
  // gone. They stay open until Forget, which is called in any case. An error:
  // too little memory, or too many watches
  // (/proc/sys/fs/epoll/max_user_watches).
  absl::Status Watch(Listener& listener, absl::Span<const int> fds);
  // The listener is not called any more once it returns.
  void Forget(const Listener& listener);

 private:
  struct Watched {
    Listener* listener = nullptr;
    std::vector<int> fds;
    // Just now.
    bool called = false;
  };

  LinkWatcher() = default;
  void Run();
  void OnEvent(uint64_t id);
  void Unwatch(const Watched& watched) const;

  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};

  Mutex mutex_;
  // Told when a listener is not called any more.
  CondVar returned_;
  std::map<uint64_t, Watched> watched_ ABSL_GUARDED_BY(mutex_);
  // 0 is wake_.
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;

  Thread thread_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_LINK_WATCHER_H_
