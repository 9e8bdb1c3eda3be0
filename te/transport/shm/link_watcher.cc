#include "te/transport/shm/link_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::shm {
namespace {

constexpr uint64_t kWake = 0;

bool Add(int epoll, int fd, uint64_t id) {
  epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data = {.u64 = id}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinkWatcher>> LinkWatcher::Create() {
  std::unique_ptr<LinkWatcher> watcher(new LinkWatcher());
  watcher->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!watcher->epoll_.valid()) return ErrnoToStatus(errno, "epoll_create1");
  watcher->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watcher->wake_.valid()) return ErrnoToStatus(errno, "eventfd");
  if (!Add(watcher->epoll_.get(), watcher->wake_.get(), kWake)) {
    return ErrnoToStatus(errno, "epoll_ctl");
  }
  TE_ASSIGN_OR_RETURN(watcher->thread_,
                      Thread::Start({.name = "te-shm-links"},
                                    [self = watcher.get()] { self->Run(); }));
  return watcher;
}

LinkWatcher::~LinkWatcher() {
  stopping_ = true;
  if (wake_.valid()) {
    const uint64_t one = 1;
    PCHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
  }
  thread_.Join();
  MutexLock lock(mutex_);
  CHECK(watched_.empty()) << "a link has outlived its watcher";
}

absl::Status LinkWatcher::Watch(Listener& listener, absl::Span<const int> fds) {
  MutexLock lock(mutex_);
  const uint64_t id = next_id_++;
  Watched watched = {.listener = &listener};
  for (const int fd : fds) {
    if (!Add(epoll_.get(), fd, id)) {
      const absl::Status status = ErrnoToStatus(errno, "epoll_ctl");
      Unwatch(watched);
      return status;
    }
    watched.fds.push_back(fd);
  }
  watched_.emplace(id, std::move(watched));
  return absl::OkStatus();
}

void LinkWatcher::Forget(const Listener& listener) {
  MutexLock lock(mutex_);
  for (;;) {
    const auto found = std::find_if(
        watched_.begin(), watched_.end(),
        [&](const auto& entry) { return entry.second.listener == &listener; });
    if (found == watched_.end()) return;
    if (!found->second.called) {
      Unwatch(found->second);
      watched_.erase(found);
      return;
    }
    returned_.WaitUntil(mutex_, kNoDeadline);
  }
}

// Explicitly: where this process has forked, the child has copies, with which
// epoll would go on to report what is closed here.
void LinkWatcher::Unwatch(const Watched& watched) const {
  for (const int fd : watched.fds) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }
}

void LinkWatcher::Run() {
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    const int count = epoll_wait(epoll_.get(), events.data(),
                                 static_cast<int>(events.size()), -1);
    PCHECK(count >= 0 || errno == EINTR) << "epoll_wait";
    for (int i = 0; i < count; ++i) {
      OnEvent(events[static_cast<size_t>(i)].data.u64);
    }
  }
}

// Without the lock, for a listener may take its time: only who forgets that one
// has to wait.
void LinkWatcher::OnEvent(uint64_t id) {
  Listener* listener = nullptr;
  {
    MutexLock lock(mutex_);
    const auto found = watched_.find(id);
    if (found == watched_.end()) return;
    found->second.called = true;
    listener = found->second.listener;
  }
  const bool more = listener->OnEvent();
  MutexLock lock(mutex_);
  const auto found = watched_.find(id);
  found->second.called = false;
  returned_.NotifyAll();
  if (more) return;
  Unwatch(found->second);
  watched_.erase(found);
}

}  // namespace te::shm
