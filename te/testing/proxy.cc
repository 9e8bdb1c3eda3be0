#include "te/testing/proxy.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te {
namespace {

constexpr int kSocketType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(60); }

}  // namespace

absl::StatusOr<std::unique_ptr<Proxy>> Proxy::Start(
    const SocketAddress& target) {
  UniqueFd listener(socket(target.family(), kSocketType, 0));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const SocketAddress any = target.WithPort(0);
  sockaddr_storage storage = {};
  auto* const bound = reinterpret_cast<sockaddr*>(&storage);
  socklen_t length = sizeof(storage);
  if (!wake.valid() || bind(listener.get(), any.data(), any.length()) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0 ||
      getsockname(listener.get(), bound, &length) != 0) {
    return ErrnoToStatus(errno, "make a proxy");
  }
  TE_ASSIGN_OR_RETURN(const SocketAddress address,
                      SocketAddress::FromSockaddr(bound, length));
  std::unique_ptr<Proxy> proxy(
      new Proxy(target, address, std::move(listener), std::move(wake)));
  TE_ASSIGN_OR_RETURN(
      proxy->thread_,
      Thread::Start({.name = "proxy"}, [self = proxy.get()] { self->Run(); }));
  return proxy;
}

Proxy::Proxy(const SocketAddress& target, const SocketAddress& address,
             UniqueFd listener, UniqueFd wake)
    : target_(target),
      address_(address),
      listener_(std::move(listener)),
      wake_(std::move(wake)) {}

Proxy::~Proxy() {
  stopping_ = true;
  Wake();
  thread_.Join();
}

void Proxy::Set(bool cut) {
  cut_ = cut;
  Wake();
}

void Proxy::Wake() { PCHECK(eventfd_write(wake_.get(), 1) == 0); }

void Proxy::Run() {
  while (!stopping_) {
    // A descriptor below zero is not looked at.
    const bool cut = cut_;
    std::vector<pollfd> fds = {
        {.fd = wake_.get(), .events = POLLIN, .revents = 0},
        {.fd = cut ? -1 : listener_.get(), .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs_) {
      for (const UniqueFd& end : pair) {
        fds.push_back({.fd = cut ? -1 : end.get(), .events = POLLIN});
      }
    }
    PCHECK(poll(fds.data(), fds.size(), -1) > 0 || errno == EINTR);
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    if (cut_) continue;
    size_t at = 2;
    for (auto pair = pairs_.begin(); pair != pairs_.end(); at += 2) {
      const bool lives = (fds[at].revents == 0 || Forward(*pair, 0)) &&
                         (fds[at + 1].revents == 0 || Forward(*pair, 1));
      pair = lives ? std::next(pair) : pairs_.erase(pair);
    }
    if (fds[1].revents != 0) Accept();
  }
}

// Where the server is gone, the client is told so.
void Proxy::Accept() {
  UniqueFd client(
      accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  UniqueFd server(socket(target_.family(), kSocketType, 0));
  if (!client.valid() || !server.valid() ||
      !ConnectSocket(server.get(), target_.data(), target_.length(), Soon())
           .ok()) {
    return;
  }
  pairs_.push_back({std::move(client), std::move(server)});
}

// False when the connection is over.
bool Proxy::Forward(const Pair& pair, uint32_t from) {
  std::array<std::byte, 64 << 10> data;
  const ssize_t got = recv(pair[from].get(), data.data(), data.size(), 0);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  return SendAll(pair[1 - from].get(),
                 absl::MakeSpan(data).first(static_cast<size_t>(got)), Soon())
      .ok();
}

}  // namespace te
