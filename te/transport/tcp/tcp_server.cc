#include "te/transport/tcp/tcp_server.h"

#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/transport/tcp/socket.h"

namespace te::tcp {
namespace {

constexpr time_t kSweepSeconds = 1;
// Strangers do not take the places of peers that are about to say Hello.
constexpr size_t kMaxStrangers = 256;
// Streams that handshakes were promised and that have not come.
constexpr uint64_t kMaxUnclaimed = 256;

}  // namespace

// Calls a function when a descriptor of the server's own is readable.
class TcpServer::Doorman final : public IoLoop::Client {
 public:
  explicit Doorman(std::function<bool()> on_ready)
      : on_ready_(std::move(on_ready)) {}
  IoLoop::Outcome OnReady(uint32_t events) override {
    const bool moved = events != 0 && on_ready_();
    return moved ? IoLoop::Outcome::kMoved : IoLoop::Outcome::kIdle;
  }

 private:
  const std::function<bool()> on_ready_;
};

absl::StatusOr<std::unique_ptr<TcpServer>> TcpServer::Create(
    const TcpOptions& options, const Incarnation& self, ExposedMemory& memory,
    absl::Span<const std::shared_ptr<IoLoop>> loops) {
  TE_ASSIGN_OR_RETURN(UniqueFd listener, Listen(options));
  TE_ASSIGN_OR_RETURN(const SocketAddress address,
                      LocalAddress(listener.get()));
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer.valid()) return ErrnoToStatus(errno, "timerfd_create failed");
  std::unique_ptr<TcpServer> server(new TcpServer(options, self, memory, loops,
                                                  std::move(listener),
                                                  std::move(timer), address));
  TE_RETURN_IF_ERROR(server->StartDoormen());
  return server;
}

TcpServer::TcpServer(const TcpOptions& options, const Incarnation& self,
                     ExposedMemory& memory,
                     absl::Span<const std::shared_ptr<IoLoop>> loops,
                     UniqueFd listener, UniqueFd timer,
                     const SocketAddress& address)
    : options_(options),
      self_(self),
      memory_(memory),
      loops_(loops.begin(), loops.end()),
      listener_(std::move(listener)),
      timer_(std::move(timer)),
      address_(address) {}

absl::Status TcpServer::StartDoormen() {
  TE_RETURN_IF_ERROR(loops_.front()->Add(timer_.get(), EPOLLIN,
                                         std::make_shared<Doorman>([this] {
                                           Sweep();
                                           return false;
                                         }),
                                         timer_id_));
  return loops_.front()->Add(
      listener_.get(), EPOLLIN,
      std::make_shared<Doorman>([this] { return AcceptAll(); }), listener_id_);
}

TcpServer::~TcpServer() {
  loops_.front()->Remove(listener_id_, listener_.get());
  loops_.front()->Remove(timer_id_, timer_.get());
  DisconnectPeers();
}

bool TcpServer::AcceptAll() {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      Welcome(std::move(socket));
      continue;
    }
    if (errno == EAGAIN) return true;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    // Out of descriptors or memory. Leaves the door shut until the next sweep,
    // instead of being called again at once.
    LOG(ERROR) << ErrnoToStatus(errno,
                                "accepting a tcp connection failed; if "
                                "descriptors are short, see `ulimit -n`");
    loops_.front()->Modify(listener_id_, listener_.get(), 0);
    MutexLock lock(mutex_);
    WakeSweep();
    return false;
  }
}

void TcpServer::Welcome(UniqueFd socket) {
  if (const absl::Status s = Configure(socket.get(), options_); !s.ok()) {
    LOG(WARNING) << "refused a tcp connection: " << s;
    return;
  }
  AvoidPacingOnOneHost(socket.get());
  std::shared_ptr<ServerStream> displaced;
  {
    MutexLock lock(mutex_);
    if (strangers_ == kMaxStrangers) displaced = TakeOldestStranger();
    IoLoop& loop = *loops_[next_loop_++ % loops_.size()];
    ServerStream::Host& host = *this;
    auto stream = std::make_shared<ServerStream>(std::move(socket), self_,
                                                 memory_, loop, host);
    // In the list before its first callback, which waits for mutex_.
    guests_[stream.get()] = {
        .stream = stream,
        .session = std::nullopt,
        .expiry = RealClock().Now() + options_.hello_timeout};
    ++strangers_;
    if (const absl::Status s = stream->Start(); !s.ok()) {
      LOG(ERROR) << "refused a tcp connection: " << s;
      guests_.erase(stream.get());
      --strangers_;
    }
    WakeSweep();
  }
  if (displaced == nullptr) return;
  LOG_EVERY_N(WARNING, 1000)
      << "cut the tcp connection " << displaced->name() << ": " << kMaxStrangers
      << " others have not said who they are yet";
  displaced->Close();
}

std::shared_ptr<ServerStream> TcpServer::TakeOldestStranger() {
  auto oldest = guests_.end();
  for (auto guest = guests_.begin(); guest != guests_.end(); ++guest) {
    if (guest->second.session) continue;
    if (oldest == guests_.end() ||
        guest->second.expiry < oldest->second.expiry) {
      oldest = guest;
    }
  }
  std::shared_ptr<ServerStream> stream = std::move(oldest->second.stream);
  guests_.erase(oldest);
  --strangers_;
  return stream;
}

absl::StatusOr<Incarnation> TcpServer::Admit(const HelloEntry& hello,
                                             ServerStream& stream) {
  MutexLock lock(mutex_);
  const auto found = sessions_.find(hello.session);
  const auto guest = guests_.find(&stream);
  if (found == sessions_.end() || guest == guests_.end()) {
    return absl::UnauthenticatedError("a Hello for no open session");
  }
  Session& session = found->second;
  if (session.streams_joined == session.streams_expected) {
    return absl::ResourceExhaustedError("more connections than announced");
  }
  ++session.streams_joined;
  guest->second.session = hello.session;
  --strangers_;
  return session.client;
}

void TcpServer::OnEnd(ServerStream& stream, const absl::Status& why) {
  VLOG(1) << "the tcp connection " << stream.name() << " ends: " << why;
  Forget(stream);
  // Last: once the stream is off the list, this server may be gone.
  stream.Leave();
}

void TcpServer::Forget(ServerStream& stream) {
  MutexLock lock(mutex_);
  const auto guest = guests_.find(&stream);
  if (guest == guests_.end()) return;
  const std::optional<Incarnation> session = guest->second.session;
  guests_.erase(guest);
  if (!session) {
    --strangers_;
    return;
  }
  const bool last = std::none_of(
      guests_.begin(), guests_.end(),
      [&](const auto& other) { return other.second.session == session; });
  if (last) sessions_.erase(*session);
}

TcpServer::Streams TcpServer::TakeStreams(const Incarnation& session) {
  Streams streams;
  for (auto guest = guests_.begin(); guest != guests_.end();) {
    const auto current = guest++;
    if (current->second.session != session) continue;
    streams.push_back(std::move(current->second.stream));
    guests_.erase(current);
  }
  sessions_.erase(session);
  return streams;
}

TcpServer::Streams TcpServer::TakeEarlierSessions(const Incarnation& client,
                                                  uint64_t rail_id) {
  MutexLock lock(mutex_);
  std::vector<Incarnation> earlier;
  for (const auto& [id, session] : sessions_) {
    if (session.client == client && session.rail_id == rail_id) {
      earlier.push_back(id);
    }
  }
  Streams streams;
  for (const Incarnation& id : earlier) {
    for (auto& stream : TakeStreams(id)) streams.push_back(std::move(stream));
  }
  return streams;
}

void TcpServer::EndEarlierSessions(const Incarnation& client,
                                   uint64_t rail_id) {
  for (const auto& stream : TakeEarlierSessions(client, rail_id)) {
    stream->Close();
  }
}

void TcpServer::EndSessions(const Incarnation& client, uint64_t rail_id) {
  MutexLock opening(opening_);
  EndEarlierSessions(client, rail_id);
}

absl::StatusOr<Incarnation> TcpServer::OpenSession(const Incarnation& client,
                                                   uint64_t rail_id,
                                                   uint32_t streams) {
  MutexLock opening(opening_);
  EndEarlierSessions(client, rail_id);
  TE_ASSIGN_OR_RETURN(const Incarnation session, Incarnation::Random());
  MutexLock lock(mutex_);
  MakeRoomForPromise(streams);
  uint64_t promised = streams;
  for (const auto& [id, other] : sessions_) promised += other.streams_expected;
  if (promised > static_cast<uint64_t>(options_.max_inbound_streams)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "this engine already serves, or has promised to, as many tcp "
        "connections as it may (",
        options_.max_inbound_streams, "); raise max_inbound_streams"));
  }
  sessions_[session] = {.client = client,
                        .rail_id = rail_id,
                        .streams_expected = streams,
                        .streams_joined = 0,
                        .expiry = RealClock().Now() + options_.hello_timeout};
  WakeSweep();
  return session;
}

// A promise costs its client nothing. So only so many wait to be kept at once,
// and the oldest give way: who means it comes within milliseconds.
void TcpServer::MakeRoomForPromise(uint32_t streams) {
  for (;;) {
    uint64_t unclaimed = streams;
    auto oldest = sessions_.end();
    for (auto session = sessions_.begin(); session != sessions_.end();
         ++session) {
      if (session->second.streams_joined > 0) continue;
      unclaimed += session->second.streams_expected;
      if (oldest == sessions_.end() ||
          session->second.expiry < oldest->second.expiry) {
        oldest = session;
      }
    }
    if (unclaimed <= kMaxUnclaimed || oldest == sessions_.end()) return;
    sessions_.erase(oldest);
  }
}

void TcpServer::DisconnectPeers() {
  Streams all;
  {
    MutexLock lock(mutex_);
    for (auto& [stream, guest] : guests_)
      all.push_back(std::move(guest.stream));
    guests_.clear();
    sessions_.clear();
    strangers_ = 0;
  }
  for (const auto& stream : all) stream->Close();
}

// Cuts off who has not said Hello in time, and sessions whose streams have not
// all come. On the first loop's thread, like AcceptAll.
void TcpServer::Sweep() {
  uint64_t ticks;
  if (read(timer_.get(), &ticks, sizeof(ticks)) < 0) return;
  loops_.front()->Modify(listener_id_, listener_.get(), EPOLLIN);
  const MonotonicTime now = RealClock().Now();
  Streams late;
  {
    MutexLock lock(mutex_);
    sweeping_ = false;
    const bool strangers_left = TakeLateStrangers(now, late);
    const bool sessions_left = TakeLateSessions(now, late);
    if (strangers_left || sessions_left) WakeSweep();
  }
  for (const auto& stream : late) stream->Close();
}

bool TcpServer::TakeLateStrangers(MonotonicTime now, Streams& late) {
  bool more = false;
  for (auto guest = guests_.begin(); guest != guests_.end();) {
    const auto current = guest++;
    if (current->second.session) continue;
    if (current->second.expiry > now) {
      more = true;
      continue;
    }
    late.push_back(std::move(current->second.stream));
    guests_.erase(current);
    --strangers_;
  }
  return more;
}

bool TcpServer::TakeLateSessions(MonotonicTime now, Streams& late) {
  bool more = false;
  std::vector<Incarnation> expired;
  for (const auto& [id, session] : sessions_) {
    if (session.streams_joined == session.streams_expected) continue;
    if (session.expiry > now) {
      more = true;
    } else {
      expired.push_back(id);
    }
  }
  for (const Incarnation& id : expired) {
    for (auto& stream : TakeStreams(id)) late.push_back(std::move(stream));
  }
  return more;
}

void TcpServer::WakeSweep() {
  if (std::exchange(sweeping_, true)) return;
  const itimerspec once = {.it_interval = {},
                           .it_value = {.tv_sec = kSweepSeconds, .tv_nsec = 0}};
  PCHECK(timerfd_settime(timer_.get(), 0, &once, nullptr) == 0);
}

}  // namespace te::tcp
