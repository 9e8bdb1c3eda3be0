#include "te/base/thread.h"

#include <pthread.h>
#include <sched.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"

namespace te {
namespace {

constexpr size_t kMaxNameBytes = 15;  // pthread_setname_np(3)

struct Body {
  std::string name;
  std::function<void()> run;
};

void* RunBody(void* arg) {
  std::unique_ptr<Body> body(static_cast<Body*>(arg));
  pthread_setname_np(pthread_self(), body->name.c_str());
  body->run();
  return nullptr;
}

absl::Status Validate(const ThreadOptions& options) {
  if (options.name.empty() || options.name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("thread name '", options.name, "' has ",
                     options.name.size(), " bytes; use 1 to ", kMaxNameBytes));
  }
  for (int cpu : options.cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
      return absl::InvalidArgumentError(
          absl::StrCat("thread '", options.name, "' cannot be pinned to CPU ",
                       cpu, "; use 0 to ", CPU_SETSIZE - 1));
    }
  }
  return absl::OkStatus();
}

// std::thread was rejected: it can only throw when the system refuses, and it
// cannot pin before the body runs.
int CreateThread(const ThreadOptions& options, Body* body, pthread_t* thread) {
  pthread_attr_t attributes;
  if (int error = pthread_attr_init(&attributes); error != 0) return error;
  int error = 0;
  if (!options.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu : options.cpus) CPU_SET(cpu, &set);
    error = pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
  }
  if (error == 0) error = pthread_create(thread, &attributes, RunBody, body);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

absl::StatusOr<Thread> Thread::Start(ThreadOptions options,
                                     std::function<void()> body) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto arg = std::make_unique<Body>(Body{options.name, std::move(body)});
  pthread_t thread;
  if (int error = CreateThread(options, arg.get(), &thread); error != 0) {
    return ErrnoToStatus(
        error,
        absl::StrCat("start thread '", options.name, "'",
                     options.cpus.empty() ? "" : " on CPUs ",
                     absl::StrJoin(options.cpus, ","),
                     "; check the limit of threads (ulimit -u, cgroup "
                     "pids.max) and that the CPUs exist and are allowed"));
  }
  (void)arg.release();  // RunBody owns it now
  return Thread(thread);
}

Thread::Thread(Thread&& other) noexcept
    : thread_(other.thread_), running_(std::exchange(other.running_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this != &other) {
    Join();
    thread_ = other.thread_;
    running_ = std::exchange(other.running_, false);
  }
  return *this;
}

void Thread::Join() {
  if (!std::exchange(running_, false)) return;
  CHECK(!pthread_equal(thread_, pthread_self())) << "a thread joins itself";
  CHECK_EQ(pthread_join(thread_, nullptr), 0);
}

void Thread::Detach() {
  if (!std::exchange(running_, false)) return;
  CHECK_EQ(pthread_detach(thread_), 0);
}

}  // namespace te
