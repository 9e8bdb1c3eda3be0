#ifndef TE_BASE_THREAD_H_
#define TE_BASE_THREAD_H_

#include <pthread.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace te {

struct ThreadOptions {
  // What `top -H` and debuggers show: 1 to 15 bytes, the kernel's limit.
  std::string name;
  // The CPUs it may run on. Empty: inherits those of the starting thread.
  std::vector<int> cpus;
};

// A running thread with a name. Joins when destroyed, so its owner must first
// make the body return. Movable; a moved-from or default-made one owns nothing.
// Thread-compatible; a thread must not destroy its own Thread.
class Thread {
 public:
  // Fails with INVALID_ARGUMENT for a bad name or CPU, and with the cause when
  // the system refuses another thread. `body` has not run then.
  static absl::StatusOr<Thread> Start(ThreadOptions options,
                                      std::function<void()> body);

  Thread() = default;
  ~Thread() { Join(); }
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;

  // Waits until the body has returned. Does nothing the second time.
  void Join();

  // Lets it run on by itself. Only for a body that shares nothing with its
  // owner and ends by itself.
  void Detach();

  bool joinable() const { return running_; }

 private:
  explicit Thread(pthread_t thread) : thread_(thread), running_(true) {}

  pthread_t thread_ = {};
  bool running_ = false;
};

}  // namespace te

#endif  // TE_BASE_THREAD_H_
