#include "te/base/socket_io.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>

#include "absl/strings/string_view.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

// Waits until poll reports `events`, or an error, which the next call shows.
absl::Status Await(int fd, int16_t events, MonotonicTime deadline,
                   int interrupt) {
  for (;;) {
    const Duration left = TimeUntil(deadline, RealClock().Now());
    const auto timeout = std::min<int64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(left).count(), INT_MAX);
    // One that is negative is not looked at.
    pollfd pollers[] = {{.fd = fd, .events = events, .revents = 0},
                        {.fd = interrupt, .events = POLLIN, .revents = 0}};
    const int ready = poll(pollers, 2, static_cast<int>(timeout));
    if (ready > 0 && pollers[1].revents != 0) {
      return absl::CancelledError("nobody waits for it any more");
    }
    if (ready > 0) return absl::OkStatus();
    if (ready == 0) return absl::DeadlineExceededError("no answer in time");
    if (errno != EINTR) return ErrnoToStatus(errno, "poll failed");
  }
}

absl::Status Unavailable(int errnum, absl::string_view what) {
  return absl::UnavailableError(te::ErrnoToStatus(errnum, what).message());
}

}  // namespace

absl::Status ConnectSocket(int fd, const sockaddr* address, socklen_t length,
                           MonotonicTime deadline, int interrupt) {
  if (connect(fd, address, length) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return Unavailable(errno, "connect");
  TE_RETURN_IF_ERROR(Await(fd, POLLOUT, deadline, interrupt));
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? absl::OkStatus() : Unavailable(error, "connect");
}

absl::Status SendAll(int fd, absl::Span<const std::byte> data,
                     MonotonicTime deadline, int interrupt) {
  while (!data.empty()) {
    const ssize_t sent = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      data.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      TE_RETURN_IF_ERROR(Await(fd, POLLOUT, deadline, interrupt));
    } else if (errno != EINTR) {
      return Unavailable(errno, "send");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ReceiveSome(int fd, absl::Span<std::byte> data,
                                   MonotonicTime deadline, int interrupt) {
  for (;;) {
    const ssize_t got = recv(fd, data.data(), data.size(), 0);
    if (got > 0) return static_cast<size_t>(got);
    if (got == 0) {
      return absl::UnavailableError("the peer has closed the connection");
    }
    if (errno == EAGAIN) {
      TE_RETURN_IF_ERROR(Await(fd, POLLIN, deadline, interrupt));
    } else if (errno != EINTR) {
      return Unavailable(errno, "recv");
    }
  }
}

absl::Status ReceiveAll(int fd, absl::Span<std::byte> data,
                        MonotonicTime deadline) {
  while (!data.empty()) {
    TE_ASSIGN_OR_RETURN(const size_t got, ReceiveSome(fd, data, deadline));
    data.remove_prefix(got);
  }
  return absl::OkStatus();
}

}  // namespace te
