#include "te/transport/shm/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/incarnation.h"
#include "te/base/status_macros.h"

namespace te::shm {
namespace {

constexpr int kBacklog = 128;
constexpr size_t kMaxFds = 2;
constexpr char kPrefix[] = "te-shm-";

struct Address {
  sockaddr_un name = {};
  socklen_t length = 0;
};

// Abstract names begin with a zero byte.
Address AddressOf(const std::string& name) {
  Address address;
  CHECK(!name.empty() && name.size() < sizeof(address.name.sun_path));
  address.name.sun_family = AF_UNIX;
  memcpy(address.name.sun_path + 1, name.data(), name.size());
  address.length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

absl::StatusOr<UniqueFd> NewSocket() {
  UniqueFd socket(
      ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return ErrnoToStatus(errno, "socket(AF_UNIX)");
  return socket;
}

// Room for the descriptors of one message.
struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> bytes;
};

// Takes over the descriptors that came with a message.
std::vector<UniqueFd> TakeFds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

absl::StatusOr<std::string> NewSocketName() {
  TE_ASSIGN_OR_RETURN(const Incarnation random, Incarnation::Random());
  return absl::StrCat(kPrefix, random.ToString());
}

bool IsSocketName(absl::string_view name) {
  return absl::ConsumePrefix(&name, kPrefix) &&
         name.size() == 2 * Incarnation::kBytes &&
         std::all_of(name.begin(), name.end(), absl::ascii_isxdigit);
}

absl::StatusOr<UniqueFd> ListenOnName(const std::string& name) {
  TE_ASSIGN_OR_RETURN(UniqueFd socket, NewSocket());
  const Address address = AddressOf(name);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.name),
           address.length) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("bind of unix socket @", name));
  }
  if (listen(socket.get(), kBacklog) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("listen on unix socket @", name));
  }
  return socket;
}

absl::StatusOr<UniqueFd> ConnectToName(const std::string& name,
                                       MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(UniqueFd socket, NewSocket());
  const Address address = AddressOf(name);
  // While its backlog is full the kernel says EAGAIN, and tells nobody when it
  // is not any more (unix(7) has no other way than to try again).
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 1'000'000};
  while (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address.name),
                 address.length) != 0) {
    if (errno == ECONNREFUSED) {
      return absl::NotFoundError(
          absl::StrCat("nobody listens on unix socket @", name));
    }
    if (errno != EAGAIN && errno != EINTR) {
      return ErrnoToStatus(errno,
                           absl::StrCat("connect to unix socket @", name));
    }
    if (RealClock().Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("unix socket @", name, " takes no more connections"));
    }
    nanosleep(&kPause, nullptr);
  }
  return socket;
}

absl::StatusOr<PeerCredentials> CredentialsOf(int socket) {
  ucred credentials = {};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return ErrnoToStatus(errno, "getsockopt(SO_PEERCRED)");
  }
  return PeerCredentials{.pid = credentials.pid, .uid = credentials.uid};
}

absl::Status SendMessage(int socket, absl::Span<const std::byte> bytes,
                         absl::Span<const int> fds) {
  CHECK_LE(fds.size(), kMaxFds);
  iovec part = {.iov_base = const_cast<std::byte*>(bytes.data()),
                .iov_len = bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control = {};
  if (!fds.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent == static_cast<ssize_t>(bytes.size())) return absl::OkStatus();
  const int error = errno;
  const absl::Status status = ErrnoToStatus(error, "sendmsg on a unix socket");
  if (error == EAGAIN) return absl::ResourceExhaustedError(status.message());
  return absl::UnavailableError(status.message());
}

absl::Status AwaitReadable(int socket, MonotonicTime deadline) {
  pollfd polled = {.fd = socket, .events = POLLIN};
  const Duration left = TimeUntil(deadline, RealClock().Now());
  constexpr Duration kLongest = std::chrono::hours(1);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(
      std::min<Duration>(left, kLongest));
  const int count = poll(&polled, 1, static_cast<int>(milliseconds.count()));
  if (count < 0 && errno != EINTR) return ErrnoToStatus(errno, "poll");
  if (count <= 0 && RealClock().Now() >= deadline) {
    return absl::DeadlineExceededError(
        "the process at the other end of a unix socket does not answer in "
        "time");
  }
  return absl::OkStatus();
}

absl::StatusOr<Message> ReceiveMessage(int socket, absl::Span<std::byte> buffer,
                                       MonotonicTime deadline) {
  iovec part = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  Control control = {};
  msghdr message = {};
  ssize_t received = 0;
  for (;;) {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received >= 0) break;
    // The latter is told once, and before what the peer said until then: that
    // it has closed its end without reading what was sent to it.
    if (errno == EINTR || errno == ECONNRESET) continue;
    if (errno != EAGAIN) {
      return absl::UnavailableError(
          ErrnoToStatus(errno, "recvmsg on a unix socket").message());
    }
    TE_RETURN_IF_ERROR(AwaitReadable(socket, deadline));
  }
  Message result = {.bytes = static_cast<size_t>(received),
                    .fds = TakeFds(message)};
  if (received == 0) {
    return absl::UnavailableError(
        "the process at the other end of a unix socket has closed it");
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return absl::InvalidArgumentError(
        "a message on a unix socket is too long, or has more descriptors than "
        "it may have or this process can take (ulimit -n)");
  }
  return result;
}

}  // namespace te::shm
