#include "te/transport/tcp/io_loop.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::tcp {
namespace {

// The id of the loop's own eventfd.
constexpr IoLoop::Id kWakeId = 0;

absl::Status Control(int epoll, int operation, int fd, uint32_t events,
                     IoLoop::Id id) {
  epoll_event event = {.events = events, .data = {.u64 = id}};
  if (epoll_ctl(epoll, operation, fd, &event) == 0) return absl::OkStatus();
  return ErrnoToStatus(errno, "epoll_ctl on a tcp socket failed");
}

}  // namespace

absl::StatusOr<std::unique_ptr<IoLoop>> IoLoop::Create(std::string name,
                                                       Duration spin) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll.valid() || !wake.valid()) {
    return ErrnoToStatus(errno,
                         "cannot create the descriptors of an I/O thread; "
                         "see `ulimit -n`");
  }
  TE_RETURN_IF_ERROR(
      Control(epoll.get(), EPOLL_CTL_ADD, wake.get(), EPOLLIN, kWakeId));
  std::unique_ptr<IoLoop> loop(
      new IoLoop(spin, std::move(epoll), std::move(wake)));
  TE_ASSIGN_OR_RETURN(loop->thread_,
                      Thread::Start({.name = std::move(name)},
                                    [loop = loop.get()] { loop->Run(); }));
  return loop;
}

IoLoop::IoLoop(Duration spin, UniqueFd epoll, UniqueFd wake)
    : spin_(spin), epoll_(std::move(epoll)), wake_(std::move(wake)) {
  hot_.reserve(kMaxHot);
}

IoLoop::~IoLoop() {
  stopping_ = true;
  const uint64_t one = 1;
  if (wake_.valid()) PCHECK(write(wake_.get(), &one, sizeof(one)) > 0);
  thread_.Join();
  MutexLock lock(mutex_);
  CHECK(clients_.empty()) << "an I/O thread was stopped before its sockets";
}

absl::Status IoLoop::Add(int fd, uint32_t events,
                         std::shared_ptr<Client> client, Id& id) {
  MutexLock lock(mutex_);
  id = next_id_++;
  TE_RETURN_IF_ERROR(Control(epoll_.get(), EPOLL_CTL_ADD, fd, events, id));
  clients_.emplace(id, std::move(client));
  return absl::OkStatus();
}

void IoLoop::Modify(Id id, int fd, uint32_t events) {
  // Fails only for a socket that is being removed at the same time, whose
  // events no longer matter.
  Control(epoll_.get(), EPOLL_CTL_MOD, fd, events, id).IgnoreError();
}

void IoLoop::Remove(Id id, int fd) {
  std::shared_ptr<Client> client;
  {
    MutexLock lock(mutex_);
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    client = std::move(found->second);
    clients_.erase(found);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }
  if (!OnLoopThread()) MutexLock wait_for_callback(dispatch_);
}

bool IoLoop::OnLoopThread() const {
  return pthread_equal(pthread_self(), thread_id_) != 0;
}

void IoLoop::Run() {
  thread_id_ = pthread_self();
  std::array<epoll_event, kMaxEvents> events;
  MonotonicTime hot_until{};
  while (!stopping_) {
    const bool spinning = !hot_.empty();
    bool moved = spinning && PollHot();
    const int count =
        epoll_wait(epoll_.get(), events.data(), kMaxEvents, spinning ? 0 : -1);
    PCHECK(count >= 0 || errno == EINTR);
    if (count > 0) {
      moved |= Dispatch(
          absl::MakeConstSpan(events).subspan(0, static_cast<size_t>(count)));
    }
    if (moved) {
      hot_until = RealClock().Now() + spin_;
    } else if (RealClock().Now() >= hot_until) {
      Rest();
    } else {
      sched_yield();
    }
  }
}

bool IoLoop::Dispatch(absl::Span<const epoll_event> events) {
  bool moved = false;
  for (const epoll_event& event : events) {
    const Id id = event.data.u64;
    if (id == kWakeId) continue;
    const Outcome outcome = CallOnReady(id, event.events);
    moved |= outcome == Outcome::kMoved;
    if (outcome == Outcome::kLeftTo) {
      Cool(id);
    } else {
      Heat(id);
    }
  }
  return moved;
}

std::shared_ptr<IoLoop::Client> IoLoop::Find(Id id) {
  MutexLock lock(mutex_);
  const auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : found->second;
}

IoLoop::Outcome IoLoop::CallOnReady(Id id, uint32_t events) {
  MutexLock dispatching(dispatch_);
  const std::shared_ptr<Client> client = Find(id);
  return client == nullptr ? Outcome::kIdle : client->OnReady(events);
}

void IoLoop::CallOnRest(Id id) {
  MutexLock dispatching(dispatch_);
  const std::shared_ptr<Client> client = Find(id);
  if (client != nullptr) client->OnRest();
}

bool IoLoop::PollHot() {
  bool moved = false;
  for (size_t i = hot_.size(); i-- > 0;) {
    const Id id = hot_[i];
    const Outcome outcome = CallOnReady(id, 0);
    moved |= outcome == Outcome::kMoved;
    if (outcome == Outcome::kLeftTo) Cool(id);
  }
  return moved;
}

void IoLoop::Heat(Id id) {
  if (std::find(hot_.begin(), hot_.end(), id) != hot_.end()) return;
  if (hot_.size() == kMaxHot) Cool(hot_.front());
  hot_.push_back(id);
}

void IoLoop::Cool(Id id) {
  hot_.erase(std::remove(hot_.begin(), hot_.end(), id), hot_.end());
  CallOnRest(id);
}

void IoLoop::Rest() {
  for (const Id id : hot_) CallOnRest(id);
  hot_.clear();
}

}  // namespace te::tcp
