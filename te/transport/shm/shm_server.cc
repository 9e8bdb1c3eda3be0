#include "te/transport/shm/shm_server.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/transport/shm/unix_socket.h"

namespace te::shm {
namespace {

// Of epoll events. Those of a visitor are twice its number for its socket, and
// one more for its process.
constexpr uint64_t kListener = 0;
constexpr uint64_t kWake = 1;
constexpr uint64_t kFirstVisitor = 1;

// Those who have come do not keep the thread from others.
constexpr int kAcceptedAtOnce = 64;

// Who has not said whose it is yet does not take the places of peers.
constexpr size_t kMaxStrangers = 256;
// Some ten messages, as the kernel counts them.
constexpr int kUnheardBytes = 8 << 10;
constexpr size_t kMaxPromised = 256;
constexpr int kSweepMilliseconds = 1000;
constexpr Duration kShutTime = std::chrono::seconds(1);
// Between looks at the pins of peers, who tell nobody when they let go.
constexpr Duration kLookPause = std::chrono::microseconds(200);
// What copying takes at most, with some patience for a busy machine.
constexpr Duration kCutTime = std::chrono::seconds(2);

// Everybody may knock.
Verdict JudgeUser(int socket) {
  const absl::StatusOr<PeerCredentials> credentials = CredentialsOf(socket);
  if (!credentials.ok()) return Verdict::kStranger;
  return credentials->uid == geteuid() || credentials->uid == 0
             ? Verdict::kWelcome
             : Verdict::kOtherUser;
}

// Who does not hear it finds the socket closed.
void Refuse(int socket, Verdict verdict) {
  const Welcome welcome = {.verdict = verdict};
  SendMessage(socket, BytesOf(welcome)).IgnoreError();
}

// See Welcome. Never looked at.
Token scratch;

Token NewToken() {
  const auto random = Incarnation::Random();
  CHECK(random.ok()) << random.status();
  Token token;
  memcpy(token.data(), random->bytes().data(), token.size());
  return token;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShmServer>> ShmServer::Create(
    const ShmOptions& options, uint32_t slots) {
  TE_ASSIGN_OR_RETURN(GrantTable grants, GrantTable::Create(slots));
  std::unique_ptr<ShmServer> server(
      new ShmServer(options, slots, std::move(grants)));
  TE_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::Status ShmServer::Start() {
  TE_ASSIGN_OR_RETURN(socket_name_, NewSocketName());
  TE_ASSIGN_OR_RETURN(listener_, ListenOnName(socket_name_));
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return ErrnoToStatus(errno, "epoll_create1");
  wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return ErrnoToStatus(errno, "eventfd");
  if (!Watch(listener_.get(), kListener) || !Watch(wake_.get(), kWake)) {
    return ErrnoToStatus(errno, "epoll_ctl");
  }
  {
    MutexLock lock(mutex_);
    next_id_ = kFirstVisitor;
  }
  TE_ASSIGN_OR_RETURN(thread_,
                      Thread::Start({.name = "te-shm"}, [this] { Run(); }));
  // Peers need it from the start.
  alive_.wait(false);
  return absl::OkStatus();
}

ShmServer::~ShmServer() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
  }
  // While the thread still sees who ends.
  DisconnectPeers();
  stopping_ = true;
  if (wake_.valid()) {
    const uint64_t one = 1;
    PCHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one));
  }
  thread_.Join();
  // As in Dismiss: that it is closed may not be enough.
  if (listener_.valid()) shutdown(listener_.get(), SHUT_RDWR);
  MutexLock lock(mutex_);
  EraseIf([](const Visitor&) { return true; });
}

bool ShmServer::Watch(int fd, uint64_t event) {
  epoll_event watched = {.events = EPOLLIN | EPOLLRDHUP,
                         .data = {.u64 = event}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &watched) == 0;
}

void ShmServer::Run() {
  grants_.GiveLifeSign();
  alive_ = true;
  alive_.notify_all();
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    const int count =
        epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                   kSweepMilliseconds);
    PCHECK(count >= 0 || errno == EINTR) << "epoll_wait";
    for (int i = 0; i < count; ++i) {
      const uint64_t event = events[static_cast<size_t>(i)].data.u64;
      const uint32_t happened = events[static_cast<size_t>(i)].events;
      if (event == kListener) {
        AcceptSome();
      } else if (event != kWake) {
        OnEvent(event / 2, /*process_ended=*/event % 2 == 1, happened);
      }
    }
    Sweep();
  }
}

void ShmServer::AcceptSome() {
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      ShutDoor(errno);
      return;
    }
    const Verdict verdict = JudgeUser(socket.get());
    if (verdict != Verdict::kWelcome) {
      Refuse(socket.get(), verdict);
      continue;
    }
    // What a peer does not hear is not to pile up: the descriptors in it count
    // against a limit of the user's (unix(7), ETOOMANYREFS).
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kUnheardBytes,
               sizeof(kUnheardBytes));
    MutexLock lock(mutex_);
    MakeRoomForStranger();
    const uint64_t id = next_id_++;
    if (!Watch(socket.get(), 2 * id)) continue;
    visitors_[id] = {.socket = std::move(socket), .arrived = RealClock().Now()};
  }
}

// Out of descriptors or memory: not to be called again at once.
void ShmServer::ShutDoor(int error) {
  LOG_EVERY_T(ERROR, 10) << ErrnoToStatus(
      error,
      "accept on the unix socket of the shm transport; if descriptors are "
      "short, see `ulimit -n`");
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
  door_shut_until_ = DeadlineAfter(RealClock().Now(), kShutTime);
}

// The one who has said nothing for longest goes first.
void ShmServer::MakeRoomForStranger() {
  const auto is_stranger = [](const auto& visitor) {
    return visitor.second.pins == nullptr;
  };
  const auto strangers =
      std::count_if(visitors_.begin(), visitors_.end(), is_stranger);
  if (static_cast<size_t>(strangers) < kMaxStrangers) return;
  // They are in the order in which they came.
  const auto oldest =
      std::find_if(visitors_.begin(), visitors_.end(), is_stranger);
  Refuse(oldest->second.socket.get(), Verdict::kNoRoom);
  Dismiss(oldest->second);
  visitors_.erase(oldest);
}

void ShmServer::OnEvent(uint64_t id, bool process_ended, uint32_t happened) {
  MutexLock lock(mutex_);
  const auto found = visitors_.find(id);
  if (found == visitors_.end()) return;
  Visitor& visitor = found->second;
  bool drop = process_ended;
  if (!drop && visitor.pins == nullptr) {
    Receive(visitor, id, drop);
  } else if (!drop && happened == EPOLLOUT) {
    TellUntold(visitor, id);
  } else if (!drop) {
    // Peers have nothing more to say: they have ended, or gone astray, and may
    // still be copying, unless the socket is all that shows their end.
    visitor.pins->Cut();
    visitor.cut = true;
    drop = !visitor.pins->IsInUse() || !visitor.process.valid();
  }
  if (drop) {
    Dismiss(visitor);
    visitors_.erase(found);
  } else if (visitor.cut) {
    Hush(visitor.socket.get());
  }
  changed_.NotifyAll();
}

void ShmServer::Receive(Visitor& visitor, uint64_t id, bool& drop) {
  Hello hello;
  const absl::StatusOr<Message> message =
      ReceiveMessage(visitor.socket.get(), BytesOf(hello), MonotonicTime());
  drop = !absl::IsDeadlineExceeded(message.status());
  if (!message.ok() || message->bytes != sizeof(hello)) return;
  Verdict verdict = Judge(visitor, hello);
  if (verdict == Verdict::kWelcome) verdict = Admit(visitor, id);
  drop = verdict != Verdict::kWelcome;
  if (drop) Refuse(visitor.socket.get(), verdict);
}

Verdict ShmServer::Judge(Visitor& visitor, const Hello& hello) {
  const auto promised =
      std::find_if(promised_.begin(), promised_.end(),
                   [&](const Promised& p) { return p.token == hello.token; });
  if (closing_ || promised == promised_.end()) return Verdict::kStranger;
  visitor.client = promised->client;
  visitor.token = promised->token;
  visitor.maps = hello.maps != 0;
  promised_.erase(promised);
  const auto peers = std::count_if(
      visitors_.begin(), visitors_.end(),
      [](const auto& other) { return other.second.pins != nullptr; });
  return peers < options_.max_peers ? Verdict::kWelcome : Verdict::kNoRoom;
}

Verdict ShmServer::Admit(Visitor& visitor, uint64_t id) {
  const absl::StatusOr<PeerCredentials> credentials =
      CredentialsOf(visitor.socket.get());
  if (!credentials.ok()) return Verdict::kStranger;
  visitor.pid = credentials->pid;
  // One that this PID namespace does not show has to be trusted to close its
  // socket when it ends.
  if (visitor.pid != 0) {
    visitor.process = UniqueFd(
        static_cast<int>(syscall(SYS_pidfd_open, visitor.pid, /*flags=*/0)));
    if (!visitor.process.valid() || !Watch(visitor.process.get(), 2 * id + 1)) {
      PLOG(ERROR) << "a peer cannot be admitted: pidfd_open or epoll_ctl";
      return Verdict::kNoRoom;
    }
  }
  absl::StatusOr<PinTable> pins = PinTable::Create(slots_);
  if (!pins.ok()) {
    LOG(ERROR) << "a peer cannot be admitted: " << pins.status();
    return Verdict::kNoRoom;
  }
  const Welcome welcome = {
      .verdict = Verdict::kWelcome,
      .slots = slots_,
      .token_address = reinterpret_cast<uint64_t>(visitor.token.data()),
      .scratch_address = reinterpret_cast<uint64_t>(scratch.data())};
  const int fds[] = {grants_.region().fd(), pins->region().fd()};
  if (const absl::Status sent =
          SendMessage(visitor.socket.get(), BytesOf(welcome), fds);
      !sent.ok()) {
    LOG(WARNING) << "a peer cannot be admitted: " << sent;
    return Verdict::kNoRoom;
  }
  pins->CloseFd();
  visitor.pins = std::make_unique<PinTable>(*std::move(pins));
  if (visitor.maps) {
    visitor.untold = mappings_.All();
    TellUntold(visitor, id);
  }
  return Verdict::kWelcome;
}

// Of those who have had their time; and the door, if it is shut; and what
// peers could not be told, because they did not hear.
void ShmServer::Sweep() {
  const MonotonicTime now = RealClock().Now();
  if (door_shut_until_ && now >= *door_shut_until_ &&
      Watch(listener_.get(), kListener)) {
    door_shut_until_.reset();
  }
  MutexLock lock(mutex_);
  promised_.remove_if([now](const Promised& p) { return now >= p.until; });
  for (auto& [id, visitor] : visitors_) {
    if (!visitor.untold.empty()) TellUntold(visitor, id);
  }
  EraseIf([&](const Visitor& visitor) {
    return visitor.pins == nullptr
               ? now - visitor.arrived >= options_.hello_timeout
               : visitor.cut && !visitor.pins->IsInUse();
  });
}

// Where this process has forked, the child has copies of its descriptors, and
// what is closed here goes on: the other end would not hear of it, and epoll
// would go on to report it.
void ShmServer::Dismiss(const Visitor& visitor) const {
  Hush(visitor.socket.get());
  if (visitor.process.valid()) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, visitor.process.get(), nullptr);
  }
}

void ShmServer::Hush(int socket) const {
  shutdown(socket, SHUT_RDWR);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
}

template <typename Predicate>
void ShmServer::EraseIf(Predicate matches) {
  std::erase_if(visitors_, [&](const auto& entry) {
    if (!matches(entry.second)) return false;
    Dismiss(entry.second);
    return true;
  });
}

absl::StatusOr<Token> ShmServer::Promise(const Client& client,
                                         MonotonicTime deadline) {
  const auto is_earlier = [&](const auto& v) { return v.client == client; };
  {
    // First, or one who comes with an earlier promise is admitted afterwards.
    MutexLock lock(mutex_);
    promised_.remove_if(is_earlier);
  }
  if (!CutOff(is_earlier, deadline)) {
    return absl::AbortedError(
        "something is still under way on an earlier connection of the same "
        "rail, whose process is stopped or very slow");
  }
  const Token token = NewToken();
  MutexLock lock(mutex_);
  if (promised_.size() >= kMaxPromised) promised_.pop_front();
  promised_.push_back(
      {.client = client,
       .token = token,
       .until = DeadlineAfter(RealClock().Now(), options_.hello_timeout)});
  return token;
}

template <typename Predicate>
bool ShmServer::CutOff(Predicate matches, MonotonicTime deadline) {
  MutexLock lock(mutex_);
  for (auto& [id, visitor] : visitors_) {
    if (visitor.pins == nullptr || !matches(visitor)) continue;
    visitor.pins->Cut();
    visitor.cut = true;
  }
  for (;;) {
    // Its socket tells the peer.
    EraseIf([](const Visitor& visitor) {
      return visitor.cut && !visitor.pins->IsInUse();
    });
    const bool left =
        std::any_of(visitors_.begin(), visitors_.end(), [&](const auto& entry) {
          return entry.second.cut && matches(entry.second);
        });
    const MonotonicTime now = RealClock().Now();
    if (!left || now >= deadline) return !left;
    changed_.WaitUntil(mutex_, std::min(deadline, now + kLookPause));
  }
}

template <typename Predicate>
std::string ShmServer::PidsOf(Predicate matches) const {
  std::vector<std::string> pids;
  for (const auto& [id, visitor] : visitors_) {
    if (visitor.pins == nullptr || !matches(visitor)) continue;
    pids.push_back(visitor.pid != 0 ? absl::StrCat(visitor.pid)
                                    : "of another PID namespace");
  }
  return absl::StrJoin(pids, ", ");
}

GrantKey ShmServer::Grant(const LocalMemory& memory) {
  MappingId mapping;
  if (memory.fd >= 0) {
    MutexLock lock(mutex_);
    mapping = mappings_.Add(memory);
    LOG_IF_EVERY_N(WARNING, !mapping.valid(), 1000)
        << "peers cannot map more than " << kMaxMappings
        << " buffers; the kernel copies what is in others";
    // Before the grant, so that who knows of that will have heard.
    if (mapping.valid()) TellOf(mapping);
  }
  return grants_.Grant(memory, mapping);
}

void ShmServer::Withdraw(uint32_t slot) {
  grants_.Withdraw(slot);
  MutexLock lock(mutex_);
  const MappingId mapping = mappings_.Remove(slot);
  if (mapping.valid()) TellOf(mapping);
}

void ShmServer::TellOf(MappingId mapping) {
  for (auto& [id, visitor] : visitors_) {
    if (!visitor.maps || visitor.pins == nullptr) continue;
    visitor.untold.insert(mapping.index);
    TellUntold(visitor, id);
  }
}

// The rest when there is room again; or, if descriptors are short, sooner or
// later (Sweep).
void ShmServer::TellUntold(Visitor& visitor, uint64_t id) {
  const bool full = mappings_.Tell(visitor.socket.get(), visitor.untold);
  if (std::exchange(visitor.awaits_room, full) == full) return;
  epoll_event watched = {.events = EPOLLIN | EPOLLRDHUP,
                         .data = {.u64 = 2 * id}};
  if (full) watched.events |= EPOLLOUT;
  // It fails for one that has been hushed.
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, visitor.socket.get(), &watched);
}

absl::Status ShmServer::Revoke(uint32_t slot, MonotonicTime deadline) {
  grants_.Withdraw(slot);
  const auto holds = [slot](const Visitor& v) {
    return v.pins->IsPinned(slot);
  };
  MutexLock lock(mutex_);
  for (;;) {
    const std::string pids = PidsOf(holds);
    if (pids.empty()) return absl::OkStatus();
    const MonotonicTime now = RealClock().Now();
    if (now >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "process ", pids,
          " is in the middle of an access to the memory; if it is stopped, "
          "continue or end it"));
    }
    changed_.WaitUntil(mutex_, std::min(deadline, now + kLookPause));
  }
}

void ShmServer::DisconnectPeers() {
  const auto all = [](const Visitor&) { return true; };
  if (CutOff(all, DeadlineAfter(RealClock().Now(), kCutTime))) return;
  MutexLock lock(mutex_);
  LOG(ERROR) << "process " << PidsOf([](const Visitor& v) { return v.cut; })
             << " is in the middle of an access to memory of this one, and "
                "cannot be kept from ending it when it goes on";
}

}  // namespace te::shm
