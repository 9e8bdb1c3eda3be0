#include "te/grpc/connection_acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/grpc/listener.h"

namespace te {
namespace {

constexpr int kForever = -1;
// Nothing tells when a descriptor is free again, so that is tried.
constexpr int kPauseMs = 100;
constexpr std::chrono::seconds kBetweenLogs(10);

// As fstat(2) does, which ThreadSanitizer takes for a use of the descriptor: it
// may be anybody's by now, which is what the look is to find out.
ino_t InodeOf(int fd) {
  struct stat description;
  return fstatat(fd, "", &description, AT_EMPTY_PATH) == 0 ? description.st_ino
                                                           : 0;
}

// The connection is gone, or was never there: accept(2).
bool ConcernsOneConnection(int error) {
  return error == EAGAIN || error == EINTR || error == ECONNABORTED ||
         error == EPROTO || error == EPERM;
}

absl::string_view RemedyFor(int error) {
  if (error == EMFILE) return "; raise the limit of open files (ulimit -n)";
  if (error == ENFILE) return "; raise the host's limit (sysctl fs.file-max)";
  return "";
}

bool IsDue(MonotonicTime& next_log) {
  const MonotonicTime now = RealClock().Now();
  if (now < next_log) return false;
  next_log = now + kBetweenLogs;
  return true;
}

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(absl::string_view name,
                                       GrpcListener listener,
                                       int max_connections, Consumer consumer)
    : name_(name),
      listener_(std::move(listener)),
      max_connections_(static_cast<size_t>(max_connections)),
      consumer_(std::move(consumer)) {}

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Start(
    absl::string_view name, GrpcListener listener, int max_connections,
    Consumer consumer) {
  std::unique_ptr<ConnectionAcceptor> acceptor(new ConnectionAcceptor(
      name, std::move(listener), max_connections, std::move(consumer)));
  TE_ASSIGN_OR_RETURN(acceptor->thread_,
                      Thread::Start({.name = absl::StrCat("te-", name)},
                                    [self = acceptor.get()] { self->Run(); }));
  return acceptor;
}

ConnectionAcceptor::~ConnectionAcceptor() {
  stopping_ = true;
  // Wakes the thread, whatever it waits for: poll(2) then says POLLHUP.
  shutdown(listener_.fd.get(), SHUT_RDWR);
  thread_.Join();
}

void ConnectionAcceptor::Run() {
  while (!stopping_) {
    Await(POLLIN, kForever);
    UniqueFd connection(accept4(listener_.fd.get(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    const int error = errno;
    if (stopping_) return;
    if (connection.valid()) {
      Take(std::move(connection));
    } else if (!ConcernsOneConnection(error)) {
      LOG_IF(ERROR, IsDue(next_error_log_))
          << "cannot accept connections to the " << name_ << " port "
          << listener_.address.ToString()
          << " for now: " << ErrnoToStatus(error, "accept").message()
          << RemedyFor(error);
      Await(0, kPauseMs);
    }
  }
}

void ConnectionAcceptor::Take(UniqueFd connection) {
  if (!HasRoom()) {
    ++refused_;
    LOG_IF(WARNING, IsDue(next_refusal_log_))
        << "refused a connection to the " << name_ << " port "
        << listener_.address.ToString() << ", and " << refused_
        << " in all: " << max_connections_
        << " are open, as many as may be; check who connects (ss -tn), or "
           "raise the limits of connections and of open files (ulimit -n)";
    return;
  }
  // Requests and answers are small, and each is waited for.
  int on = 1;
  setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  lent_.push_back({connection.get(), InodeOf(connection.get())});
  consumer_(std::move(connection));
}

bool ConnectionAcceptor::HasRoom() {
  if (lent_.size() < max_connections_) return true;
  std::erase_if(lent_, [](const Lent& connection) {
    return InodeOf(connection.fd) != connection.inode;
  });
  return lent_.size() < max_connections_;
}

void ConnectionAcceptor::Await(int16_t events, int timeout_ms) {
  pollfd listener = {.fd = listener_.fd.get(), .events = events};
  poll(&listener, 1, timeout_ms);
}

}  // namespace te
