#include "te/rdma/device_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

// Asking the kernel for more events costs a system call.
constexpr int kRoundsBetweenEvents = 64;

absl::string_view NameOf(ibv_event_type type) {
  switch (type) {
    case IBV_EVENT_PORT_ACTIVE:
      return "its port is active";
    case IBV_EVENT_PORT_ERR:
      return "its port is down";
    case IBV_EVENT_GID_CHANGE:
      return "its GIDs have changed";
    case IBV_EVENT_LID_CHANGE:
      return "its LID has changed";
    case IBV_EVENT_PKEY_CHANGE:
      return "its P_Keys have changed";
    case IBV_EVENT_SM_CHANGE:
      return "its subnet manager has changed";
    case IBV_EVENT_CLIENT_REREGISTER:
      return "its subnet manager has restarted";
    case IBV_EVENT_DEVICE_FATAL:
      return "it has failed";
    case IBV_EVENT_CQ_ERR:
      return "a completion queue has overflowed";
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
      return "a queue pair has failed";
    default:
      return "";
  }
}

bool Contains(const std::vector<DeviceWorker::Client*>& clients,
              const DeviceWorker::Client* client) {
  return std::find(clients.begin(), clients.end(), client) != clients.end();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceWorker>> DeviceWorker::Create(
    Device& device, const Options& options, OnEvent on_event) {
  std::unique_ptr<DeviceWorker> worker(
      new DeviceWorker(device, options, std::move(on_event)));
  worker->channel_ = CompletionChannelObject(
      device.verbs(), device.verbs().CreateCompChannel(device.context()));
  if (!worker->channel_) {
    return ErrnoToStatus(
        errno, absl::StrCat("ibv_create_comp_channel of ", device.name()));
  }
  const int flags = fcntl(worker->channel_->fd, F_GETFL);
  if (fcntl(worker->channel_->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return ErrnoToStatus(errno, "fcntl(O_NONBLOCK) of a completion channel");
  }
  worker->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (worker->wake_.get() < 0) return ErrnoToStatus(errno, "eventfd");
  TE_ASSIGN_OR_RETURN(
      worker->thread_,
      Thread::Start({.name = options.name, .cpus = options.cpus},
                    [worker = worker.get()] { worker->Run(); }));
  return worker;
}

DeviceWorker::~DeviceWorker() {
  stopping_ = true;
  if (wake_.get() >= 0) {
    const uint64_t one = 1;
    PCHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
  }
  thread_.Join();
  MutexLock lock(dispatch_);
  CHECK(clients_.empty()) << "a completion queue has outlived its worker";
}

absl::StatusOr<CompletionQueueObject> DeviceWorker::MakeQueue(int entries,
                                                              Client& client) {
  ++waiters_;
  MutexLock lock(dispatch_);
  --waiters_;
  CompletionQueueObject queue(
      device_.verbs(),
      device_.verbs().CreateCq(device_.context(), entries, nullptr,
                               channel_.get(), /*comp_vector=*/0));
  if (!queue) {
    return ErrnoToStatus(
        errno, absl::StrCat("a completion queue of ", entries, " entries on ",
                            device_.name(), ", which may have ",
                            device_.limits().max_cqe, " of them, and ",
                            device_.limits().max_cq, " queues"));
  }
  clients_[queue.get()] = &client;
  return queue;
}

void DeviceWorker::Drop(CompletionQueueObject queue) {
  if (!queue) return;
  ++waiters_;
  {
    MutexLock lock(dispatch_);
    --waiters_;
    const auto found = clients_.find(queue.get());
    std::erase(active_, found->second);
    std::erase(glanced_at_, found->second);
    clients_.erase(found);
    // Here, because events are fetched and acknowledged under dispatch_: none
    // of this queue is between the two, for which destroying it would wait.
    queue.Reset();
  }
}

void DeviceWorker::Run() {
  std::array<pollfd, 3> fds = {
      {{.fd = channel_->fd, .events = POLLIN},
       {.fd = device_.context()->async_fd, .events = POLLIN},
       {.fd = wake_.get(), .events = POLLIN}}};
  bool more = false;
  while (!stopping_) {
    if (poll(fds.data(), fds.size(), Timeout()) < 0) {
      PCHECK(errno == EINTR) << "poll of a device's events";
      continue;
    }
    if ((fds[1].revents & POLLIN) != 0) HandleEvents();
    if (more || (fds[0].revents & POLLIN) != 0) more = Serve();
    GlanceAround();
    LookAgain();
    // Of a device that was taken out, and then for ever.
    constexpr int kGone = POLLERR | POLLHUP | POLLNVAL;
    if (((fds[0].revents | fds[1].revents) & kGone) == 0) continue;
    LOG(ERROR) << device_.name() << " is gone";
    fds[0].fd = fds[1].fd = -1;
    unseen_.reset();
    device_.MarkFatal();
    on_event_(IBV_EVENT_DEVICE_FATAL);
  }
}

void DeviceWorker::HandleEvents() {
  ibv_async_event event = {};
  while (device_.verbs().GetAsyncEvent(device_.context(), &event) == 0) {
    const ibv_event_type type = event.event_type;
    device_.verbs().AckAsyncEvent(&event);
    const absl::string_view name = NameOf(type);
    if (name.empty()) continue;
    LOG(INFO) << device_.name() << " reports that " << name;
    if (type == IBV_EVENT_DEVICE_FATAL) {
      unseen_.reset();
      device_.MarkFatal();
    } else {
      LookAtDevice(type);
    }
    on_event_(type);
  }
}

bool DeviceWorker::LookAtDevice(ibv_event_type why) {
  const absl::Status status = device_.Refresh();
  LOG_IF(WARNING, !status.ok()) << status;
  if (status.ok()) {
    unseen_.reset();
    pause_ = kFirstPause;
  } else {
    unseen_ = why;
    next_look_ = DeadlineAfter(RealClock().Now(), pause_);
    pause_ = std::min(2 * pause_, kLongestPause);
  }
  return status.ok();
}

// A port may be up again of which nothing is known but that it was down.
void DeviceWorker::LookAgain() {
  if (!unseen_ || RealClock().Now() < next_look_) return;
  const ibv_event_type event = *unseen_;
  if (LookAtDevice(event)) on_event_(event);
}

// For a while: somebody may move for ever, and the device has something to say,
// or others want a glance.
bool DeviceWorker::Serve() {
  const MonotonicTime begin = RealClock().Now();
  MonotonicTime until = DeadlineAfter(begin, spin_);
  for (int round = 0; !stopping_; ++round) {
    bool moved = false;
    {
      MutexLock lock(dispatch_);
      if (round % kRoundsBetweenEvents == 0) CollectCompletions();
      moved = PollActive();
      const MonotonicTime now = RealClock().Now();
      if (moved) until = DeadlineAfter(now, spin_);
      if (now >= until || active_.empty()) {
        RestActive();
        return false;
      }
      if (now - begin >= kGlancePeriod) return true;
    }
    while (waiters_ > 0) sched_yield();
    if (!moved) sched_yield();
  }
  return false;
}

void DeviceWorker::CollectCompletions() {
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  while (device_.verbs().GetCqEvent(channel_.get(), &queue, &context) == 0) {
    device_.verbs().AckCqEvents(queue, 1);
    const auto found = clients_.find(queue);
    if (found == clients_.end()) continue;
    if (!Contains(active_, found->second)) active_.push_back(found->second);
  }
}

bool DeviceWorker::PollActive() {
  bool moved = false;
  for (size_t i = active_.size(); i > 0; --i) {
    Client* const client = active_[i - 1];
    const Progress progress = client->OnCompletions();
    moved |= progress == Progress::kMoved;
    if (client->wants_glances() && !Contains(glanced_at_, client)) {
      glanced_at_.push_back(client);
    }
    if (progress == Progress::kBusy) active_.erase(active_.begin() + (i - 1));
  }
  return moved;
}

void DeviceWorker::GlanceAround() {
  MutexLock lock(dispatch_);
  const MonotonicTime now = RealClock().Now();
  if (glanced_at_.empty() || now < next_glance_) return;
  next_glance_ = now + kGlancePeriod;
  for (Client* client : glanced_at_) client->Glance();
  std::erase_if(glanced_at_,
                [](const Client* client) { return !client->wants_glances(); });
}

int DeviceWorker::Timeout() {
  MonotonicTime next = kNoDeadline;
  if (unseen_) next = next_look_;
  {
    MutexLock lock(dispatch_);
    if (!active_.empty()) return 0;
    if (!glanced_at_.empty()) next = std::min(next, next_glance_);
  }
  if (next == kNoDeadline) return -1;
  const Duration left = TimeUntil(next, RealClock().Now());
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

void DeviceWorker::RestActive() {
  for (Client* client : active_) client->Rest();
  active_.clear();
}

}  // namespace te::rdma
