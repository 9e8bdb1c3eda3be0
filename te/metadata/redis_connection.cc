#include "te/metadata/redis_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

// Scripts need those of the commands that they call.
constexpr char kPermissions[] =
    "the user needs ~te/* &te/changed/* +select +script +evalsha +eval +hget "
    "+hmget +hset +hstrlen +exists +del +pexpire +persist +getset +time +scan "
    "+publish +subscribe +psubscribe +unsubscribe +punsubscribe +ping";

// In the protocol's words.
void AppendCommand(std::string& bytes,
                   absl::Span<const absl::string_view> command) {
  absl::StrAppend(&bytes, "*", command.size(), "\r\n");
  for (const absl::string_view word : command) {
    absl::StrAppend(&bytes, "$", word.size(), "\r\n", word, "\r\n");
  }
}

absl::StatusOr<UniqueFd> ConnectTo(int family, const sockaddr* address,
                                   socklen_t length, MonotonicTime deadline,
                                   int interrupt) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "cannot make a socket");
  TE_RETURN_IF_ERROR(
      ConnectSocket(fd.get(), address, length, deadline, interrupt));
  return fd;
}

// Lets the kernel end a connection whose server is gone without a word.
absl::Status NoticeDeath(int fd) {
  const struct {
    int level, option, value;
  } kOptions[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                  {IPPROTO_TCP, TCP_KEEPIDLE, 10},
                  {IPPROTO_TCP, TCP_KEEPINTVL, 5},
                  {IPPROTO_TCP, TCP_USER_TIMEOUT, 20'000}};
  for (const auto& o : kOptions) {
    if (setsockopt(fd, o.level, o.option, &o.value, sizeof(o.value)) != 0) {
      return ErrnoToStatus(errno, "setting a socket option failed");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ConnectUnix(const std::string& path,
                                     MonotonicTime deadline, int interrupt) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return ConnectTo(AF_UNIX, reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address), deadline, interrupt);
}

absl::StatusOr<UniqueFd> ConnectTcp(const RedisAddress& address,
                                    MonotonicTime deadline, int interrupt) {
  TE_ASSIGN_OR_RETURN(
      const std::vector<SocketAddress> candidates,
      SocketAddress::Resolve(address.host, address.port, deadline));
  absl::Status failure;
  for (size_t i = 0; i < candidates.size(); ++i) {
    // Each gets its share, so that a silent one does not keep from the others.
    const MonotonicTime now = RealClock().Now();
    const MonotonicTime share =
        DeadlineAfter(now, TimeUntil(deadline, now) / (candidates.size() - i));
    const SocketAddress& candidate = candidates[i];
    absl::StatusOr<UniqueFd> fd =
        ConnectTo(candidate.family(), candidate.data(), candidate.length(),
                  share, interrupt);
    if (fd.ok()) {
      TE_RETURN_IF_ERROR(NoticeDeath(fd->get()));
      return fd;
    }
    failure = fd.status();
  }
  return failure;
}

absl::Status Prefix(const RedisAddress& address, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(address.ToString(), ": ", status.message()));
}

}  // namespace

absl::Status RedisErrorStatus(const redisReply& reply) {
  const absl::string_view text(reply.str, reply.len);
  const struct {
    const char* mark;
    absl::StatusCode code;
    const char* remedy;
  } kKnown[] = {
      {"WRONGPASS", absl::StatusCode::kUnauthenticated,
       "check user and password of the address"},
      {"ERR invalid password", absl::StatusCode::kUnauthenticated,
       "check the password of the address"},
      {"NOAUTH", absl::StatusCode::kUnauthenticated,
       "put the password into the address: redis://:password@host"},
      {"NOPERM", absl::StatusCode::kPermissionDenied, kPermissions},
      {"The user executing the script", absl::StatusCode::kPermissionDenied,
       kPermissions},
      {"ERR DB index", absl::StatusCode::kInvalidArgument,
       "the server has fewer databases; see `databases` in its redis.conf"},
      {"NOSCRIPT", absl::StatusCode::kFailedPrecondition, "load it first"},
      {"OOM", absl::StatusCode::kResourceExhausted,
       "the server is out of memory; see `maxmemory` in its redis.conf"},
      {"WRONGTYPE", absl::StatusCode::kDataLoss,
       "somebody else uses this key; remove it, or use another database"},
      {"LOADING", absl::StatusCode::kUnavailable, "try again later"},
      {"READONLY", absl::StatusCode::kUnavailable,
       "this is a replica; give the address of the master"},
      {"MASTERDOWN", absl::StatusCode::kUnavailable, "try again later"},
      {"BUSY", absl::StatusCode::kUnavailable, "try again later"},
      {"ERR max number of clients", absl::StatusCode::kResourceExhausted,
       "see `maxclients` in redis.conf"},
  };
  for (const auto& known : kKnown) {
    // Within a script's errors too, which Redis 6 wraps in a text of its own.
    if (absl::StrContains(text, known.mark)) {
      return absl::Status(
          known.code, absl::StrCat(absl::CHexEscape(text.substr(0, 300)), "; ",
                                   known.remedy));
    }
  }
  return absl::UnknownError(absl::StrCat(
      "the Redis server answered: ", absl::CHexEscape(text.substr(0, 300))));
}

absl::StatusOr<std::unique_ptr<RedisConnection>> RedisConnection::Open(
    const RedisAddress& address, MonotonicTime deadline, int interrupt) {
  absl::StatusOr<UniqueFd> socket =
      address.unix_path.empty()
          ? ConnectTcp(address, deadline, interrupt)
          : ConnectUnix(address.unix_path, deadline, interrupt);
  if (!socket.ok()) {
    return Prefix(address,
                  absl::Status(socket.status().code(),
                               absl::StrCat(socket.status().message(),
                                            "; does a Redis server run "
                                            "there?")));
  }
  std::unique_ptr<RedisConnection> connection(
      new RedisConnection(*std::move(socket), interrupt));
  const absl::Status status = connection->LogIn(address, deadline);
  if (!status.ok()) return Prefix(address, status);
  return connection;
}

RedisConnection::RedisConnection(UniqueFd socket, int interrupt)
    : socket_(std::move(socket)), interrupt_(interrupt) {}

absl::Status RedisConnection::LogIn(const RedisAddress& address,
                                    MonotonicTime deadline) {
  const std::string database = absl::StrCat(address.database);
  std::vector<std::vector<absl::string_view>> commands;
  if (!address.user.empty()) {
    commands.push_back({"AUTH", address.user, address.password});
  } else if (!address.password.empty()) {
    commands.push_back({"AUTH", address.password});
  }
  // Also without need: shows at once whether we are let in.
  commands.push_back({"SELECT", database});
  for (const auto& command : commands) {
    TE_ASSIGN_OR_RETURN(const RedisReply reply, Call(command, deadline));
    if (reply->type == REDIS_REPLY_ERROR) return RedisErrorStatus(*reply);
  }
  return absl::OkStatus();
}

absl::StatusOr<RedisReply> RedisConnection::Call(
    absl::Span<const absl::string_view> command, MonotonicTime deadline) {
  std::string bytes;
  AppendCommand(bytes, command);
  TE_RETURN_IF_ERROR(SendBytes(bytes, deadline));
  return Receive(deadline);
}

std::vector<absl::StatusOr<RedisReply>> RedisConnection::CallMany(
    absl::Span<const RedisCommand> commands, MonotonicTime deadline) {
  absl::Status status = Send(commands, deadline);
  std::vector<absl::StatusOr<RedisReply>> replies;
  replies.reserve(commands.size());
  for (size_t i = 0; i < commands.size(); ++i) {
    if (!status.ok()) {
      replies.emplace_back(status);
      continue;
    }
    replies.push_back(Receive(deadline));
    status = replies.back().status();
  }
  return replies;
}

absl::Status RedisConnection::Send(absl::Span<const RedisCommand> commands,
                                   MonotonicTime deadline) {
  std::string bytes;
  for (const RedisCommand& command : commands) AppendCommand(bytes, command);
  return SendBytes(bytes, deadline);
}

absl::Status RedisConnection::SendBytes(absl::string_view bytes,
                                        MonotonicTime deadline) {
  return SendAll(
      socket_.get(),
      absl::MakeConstSpan(reinterpret_cast<const std::byte*>(bytes.data()),
                          bytes.size()),
      deadline, interrupt_);
}

absl::StatusOr<RedisReply> RedisConnection::Receive(MonotonicTime deadline) {
  std::array<std::byte, 64 << 10> some;
  for (;;) {
    TE_ASSIGN_OR_RETURN(RedisReply reply, reader_.Next());
    if (reply != nullptr) return reply;
    TE_ASSIGN_OR_RETURN(
        const size_t got,
        ReceiveSome(socket_.get(), absl::MakeSpan(some), deadline, interrupt_));
    TE_RETURN_IF_ERROR(reader_.Feed(absl::MakeConstSpan(some).first(got)));
  }
}

absl::StatusOr<RedisReply> RedisConnection::TryReceive() {
  std::array<std::byte, 64 << 10> some;
  for (;;) {
    TE_ASSIGN_OR_RETURN(RedisReply reply, reader_.Next());
    if (reply != nullptr) return reply;
    const ssize_t got = recv(socket_.get(), some.data(), some.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return RedisReply();
    if (got < 0) {
      return absl::UnavailableError(ErrnoToStatus(errno, "recv").message());
    }
    if (got == 0) {
      return absl::UnavailableError("the peer has closed the connection");
    }
    TE_RETURN_IF_ERROR(reader_.Feed(
        absl::MakeConstSpan(some).first(static_cast<size_t>(got))));
  }
}

bool RedisConnection::IsUsable() const {
  // Nothing is due, so whatever can be read is the end, or an error.
  char byte;
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         errno == EAGAIN;
}

}  // namespace te
