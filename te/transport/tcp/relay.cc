#include "te/transport/tcp/relay.h"

#include <linux/filter.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"
#include "te/transport/tcp/socket.h"
#include "te/transport/tcp/tcp_options.h"

namespace te::tcp {

absl::StatusOr<std::unique_ptr<Relay>> Relay::Start(
    const SocketAddress& target) {
  TE_ASSIGN_OR_RETURN(UniqueFd listener, Listen({}));
  TE_ASSIGN_OR_RETURN(const SocketAddress address,
                      LocalAddress(listener.get()));
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return ErrnoToStatus(errno, "eventfd failed");
  std::unique_ptr<Relay> relay(
      new Relay(std::move(listener), std::move(stop), address, target));
  TE_ASSIGN_OR_RETURN(
      relay->thread_,
      Thread::Start({.name = "relay"}, [r = relay.get()] { r->Run(); }));
  return relay;
}

Relay::Relay(UniqueFd listener, UniqueFd stop, const SocketAddress& address,
             const SocketAddress& target)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      address_(address),
      target_(target) {}

Relay::~Relay() { PCHECK(eventfd_write(stop_.get(), 1) == 0); }

MonotonicTime Relay::Soon() const {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

void Relay::Run() {
  if (!Meet()) return;
  for (;;) {
    std::array<pollfd, 3> ready = {
        pollfd{.fd = ends_[0].get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = ends_[1].get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    PCHECK(poll(ready.data(), ready.size(), -1) > 0 || errno == EINTR);
    if (ready[2].revents != 0) return;
    for (size_t from = 0; from < ends_.size(); ++from) {
      if (ready[from].revents != 0 &&
          !Forward(ends_[from].get(), ends_[1 - from].get())) {
        return;
      }
    }
  }
}

bool Relay::Meet() {
  std::array<pollfd, 2> ready = {
      pollfd{.fd = listener_.get(), .events = POLLIN, .revents = 0},
      pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
  PCHECK(poll(ready.data(), ready.size(), -1) > 0);
  if (ready[1].revents != 0) return false;
  ends_[0] = UniqueFd(
      accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  auto target = Connect(target_, {}, Soon());
  if (!ends_[0].valid() || !target.ok()) return false;
  ends_[1] = *std::move(target);
  met_ = true;
  return true;
}

// False when the connection is over.
bool Relay::Forward(int from, int to) {
  std::vector<std::byte> data(64 << 10);
  const ssize_t got = recv(from, data.data(), data.size(), 0);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  data.resize(static_cast<size_t>(got));
  Corrupt(absl::MakeSpan(data));
  return SendAll(to, data, Soon()).ok();
}

void Relay::Corrupt(absl::Span<std::byte> data) {
  const auto run = std::search_n(data.begin(), data.end(), kMarkBytes, kMark);
  if (run == data.end() || !corrupt_.exchange(false)) return;
  *run ^= std::byte{1};
}

absl::Status Relay::Unplug() {
  while (!met_) std::this_thread::yield();
  // A filter that lets nothing through; see socket(7).
  sock_filter drop = {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0};
  const sock_fprog filter = {.len = 1, .filter = &drop};
  for (const UniqueFd& end : ends_) {
    if (setsockopt(end.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter,
                   sizeof(filter)) != 0) {
      return ErrnoToStatus(errno, "SO_ATTACH_FILTER failed");
    }
  }
  return absl::OkStatus();
}

}  // namespace te::tcp
