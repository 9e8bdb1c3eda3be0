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

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/socket_address.h"
#include "te/base/socket_io.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

// No reply to what we ask is longer: a value with its version, or one page of
// keys. What sends more is no server of ours.
constexpr size_t kMaxReplyBytes = MetadataStore::kMaxValueBytes + (4 << 20);

// Scripts need those of the commands that they call.
constexpr char kPermissions[] =
    "the user needs ~te/* +select +script +evalsha +eval +get +getrange +set "
    "+incr +pexpire +persist +del +scan";

absl::StatusOr<UniqueFd> ConnectTo(int family, const sockaddr* address,
                                   socklen_t length, MonotonicTime deadline) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoToStatus(errno, "cannot make a socket");
  TE_RETURN_IF_ERROR(ConnectSocket(fd.get(), address, length, deadline));
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
                                     MonotonicTime deadline) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return ConnectTo(AF_UNIX, reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address), deadline);
}

absl::StatusOr<UniqueFd> ConnectTcp(const RedisAddress& address,
                                    MonotonicTime deadline) {
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
    absl::StatusOr<UniqueFd> fd = ConnectTo(
        candidate.family(), candidate.data(), candidate.length(), share);
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
    const RedisAddress& address, MonotonicTime deadline) {
  absl::StatusOr<UniqueFd> socket =
      address.unix_path.empty() ? ConnectTcp(address, deadline)
                                : ConnectUnix(address.unix_path, deadline);
  if (!socket.ok()) {
    return Prefix(address,
                  absl::Status(socket.status().code(),
                               absl::StrCat(socket.status().message(),
                                            "; does a Redis server run "
                                            "there?")));
  }
  std::unique_ptr<RedisConnection> connection(
      new RedisConnection(*std::move(socket)));
  const absl::Status status = connection->LogIn(address, deadline);
  if (!status.ok()) return Prefix(address, status);
  return connection;
}

RedisConnection::RedisConnection(UniqueFd socket)
    : socket_(std::move(socket)), reader_(redisReaderCreate()) {}

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
  TE_RETURN_IF_ERROR(Send(command, deadline));
  return Receive(deadline);
}

absl::Status RedisConnection::Send(absl::Span<const absl::string_view> command,
                                   MonotonicTime deadline) {
  std::vector<const char*> words;
  std::vector<size_t> lengths;
  for (const absl::string_view word : command) {
    words.push_back(word.data());
    lengths.push_back(word.size());
  }
  char* bytes = nullptr;
  const int length = redisFormatCommandArgv(
      &bytes, static_cast<int>(words.size()), words.data(), lengths.data());
  if (length < 0) return absl::ResourceExhaustedError("out of memory");
  const absl::Cleanup free_bytes = [bytes] { redisFreeCommand(bytes); };
  return SendAll(socket_.get(),
                 absl::MakeConstSpan(reinterpret_cast<std::byte*>(bytes),
                                     static_cast<size_t>(length)),
                 deadline);
}

absl::StatusOr<RedisReply> RedisConnection::Receive(MonotonicTime deadline) {
  std::array<std::byte, 64 << 10> some;
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
      return absl::DataLossError(absl::StrCat(
          "no answer of a Redis server: ", absl::CHexEscape(reader_->errstr)));
    }
    if (reply != nullptr) return RedisReply(static_cast<redisReply*>(reply));
    if (reader_->len > kMaxReplyBytes) {
      return absl::DataLossError("a longer answer than was asked for");
    }
    TE_ASSIGN_OR_RETURN(
        const size_t got,
        ReceiveSome(socket_.get(), absl::MakeSpan(some), deadline));
    if (redisReaderFeed(reader_.get(), reinterpret_cast<char*>(some.data()),
                        got) != REDIS_OK) {
      return absl::ResourceExhaustedError("out of memory");
    }
  }
}

bool RedisConnection::IsUsable() const {
  // Nothing is due, so whatever can be read is the end, or an error.
  char byte;
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         errno == EAGAIN;
}

}  // namespace te
