#include "te/bench/stream_pair.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"

namespace te::bench {
namespace {

// As te does within one host: what is compared has the same congestion control.
absl::Status Configure(const UniqueFd& fd) {
  constexpr int kOn = 1;
  if (setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn)) != 0) {
    return ErrnoToStatus(errno, "set TCP_NODELAY");
  }
  constexpr char kReno[] = "reno";
  if (setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, kReno,
                 sizeof(kReno) - 1) != 0) {
    return ErrnoToStatus(errno, "set TCP_CONGESTION to reno");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> Listen(SocketAddress& address) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "socket");
  TE_ASSIGN_OR_RETURN(address, SocketAddress::FromIp("127.0.0.1", 0));
  if (bind(fd.get(), address.data(), address.length()) != 0 ||
      listen(fd.get(), SOMAXCONN) != 0) {
    return ErrnoToStatus(errno, "listen on 127.0.0.1");
  }
  sockaddr_in bound = {};
  socklen_t length = sizeof(bound);
  auto* raw = reinterpret_cast<sockaddr*>(&bound);
  if (getsockname(fd.get(), raw, &length) != 0) {
    return ErrnoToStatus(errno, "getsockname");
  }
  TE_ASSIGN_OR_RETURN(address, SocketAddress::FromSockaddr(raw, length));
  return fd;
}

absl::StatusOr<Streams> Connect(int count, const SocketAddress& address) {
  Streams streams;
  for (int i = 0; i < count; ++i) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return ErrnoToStatus(errno, "socket");
    if (connect(fd.get(), address.data(), address.length()) != 0) {
      return ErrnoToStatus(errno,
                           absl::StrCat("connect to ", address.ToString()));
    }
    TE_RETURN_IF_ERROR(Configure(fd));
    streams.push_back(std::move(fd));
  }
  return streams;
}

absl::StatusOr<Streams> Accept(int count, const UniqueFd& listener) {
  Streams streams;
  for (int i = 0; i < count; ++i) {
    UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) return ErrnoToStatus(errno, "accept");
    TE_RETURN_IF_ERROR(Configure(fd));
    streams.push_back(std::move(fd));
  }
  return streams;
}

absl::Status RunChild(int count, const SocketAddress& address,
                      absl::FunctionRef<absl::Status(Streams)> child) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  TE_ASSIGN_OR_RETURN(Streams streams, Connect(count, address));
  return child(std::move(streams));
}

}  // namespace

absl::StatusOr<Streams> ForkWithStreams(
    int count, absl::FunctionRef<absl::Status(Streams)> child, pid_t& pid) {
  SocketAddress address;
  TE_ASSIGN_OR_RETURN(const UniqueFd listener, Listen(address));
  pid = fork();
  if (pid < 0) return ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    const absl::Status status = RunChild(count, address, child);
    if (!status.ok()) {
      std::cerr << absl::StrCat("child: ", status.message(), "\n");
    }
    _exit(status.ok() ? 0 : 1);
  }
  return Accept(count, listener);
}

absl::Status WaitForChild(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return ErrnoToStatus(errno, "waitpid");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::AbortedError(
      WIFSIGNALED(status)
          ? absl::StrCat("the child process was ended by signal ",
                         WTERMSIG(status))
          : absl::StrCat("the child process ended with exit status ",
                         WEXITSTATUS(status)));
}

}  // namespace te::bench
