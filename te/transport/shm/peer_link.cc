#include "te/transport/shm/peer_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/transport/shm/shared_region.h"

namespace te::shm {
namespace {

// More than any owner has; what it costs is address space.
constexpr uint32_t kMaxSlots = 1 << 24;

absl::Status Unusable(absl::string_view why) {
  return absl::UnavailableError(why);
}

absl::Status CheckVerdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::kWelcome:
      return absl::OkStatus();
    case Verdict::kOtherUser:
      return Unusable(
          "the peer runs as another user; processes of different users do not "
          "reach into each other's memory");
    case Verdict::kStranger:
      return Unusable("the peer did not expect this connection any more");
    case Verdict::kNoRoom:
      return Unusable(
          "the peer has no room for more connections; its log says whether it "
          "is "
          "short of descriptors or memory, or at its option max_peers");
  }
  return absl::DataLossError("the peer's answer on the unix socket is none");
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerLink>> PeerLink::Connect(
    const ShmOptions& options, const std::string& socket_name,
    const Token& token, MonotonicTime deadline, LinkWatcher* watcher) {
  absl::StatusOr<UniqueFd> socket = ConnectToName(socket_name, deadline);
  if (absl::IsNotFound(socket.status())) {
    return Unusable(
        "the peer's unix socket cannot be seen from here: it has another "
        "network namespace, or has ended");
  }
  TE_RETURN_IF_ERROR(socket.status());
  TE_ASSIGN_OR_RETURN(const PeerCredentials owner,
                      CredentialsOf(socket->get()));
  const uid_t self = geteuid();
  if (owner.uid != self && owner.uid != 0 && self != 0) {
    return CheckVerdict(Verdict::kOtherUser);
  }
  const bool is_self = owner.pid == getpid() && options.direct_within_process;
  const bool maps = options.map_memory && !is_self;
  const Hello hello = {.token = token, .maps = maps ? 1u : 0u};
  // If it is not heard, the owner may already have said why.
  SendMessage(socket->get(), BytesOf(hello)).IgnoreError();
  Welcome welcome;
  TE_ASSIGN_OR_RETURN(
      Message answer,
      ReceiveMessage(socket->get(), BytesOf(welcome), deadline));
  if (answer.bytes != sizeof(welcome)) return CheckVerdict(Verdict{});
  TE_RETURN_IF_ERROR(CheckVerdict(welcome.verdict));
  if (answer.fds.size() != 2 || welcome.slots == 0 ||
      welcome.slots > kMaxSlots) {
    return CheckVerdict(Verdict{});
  }
  TE_ASSIGN_OR_RETURN(SharedRegion grants,
                      SharedRegion::Map(std::move(answer.fds[0]),
                                        GrantTableBytes(welcome.slots),
                                        SharedRegion::Rights::kRead));
  TE_ASSIGN_OR_RETURN(PinTable pins,
                      PinTable::Map(std::move(answer.fds[1]), welcome.slots));
  std::unique_ptr<PeerLink> link(new PeerLink(
      *std::move(socket),
      GrantedMemory(std::move(grants), std::move(pins), welcome.slots),
      {.pid = owner.pid, .is_self = is_self, .maps = maps}));
  if (is_self) return link;
  if (const absl::Status opened = link->OpenProcess(options, welcome, token);
      !opened.ok()) {
    // Nothing but the kernel's rules, or what it does not show.
    if (!maps || !absl::IsPermissionDenied(opened)) return opened;
    TE_RETURN_IF_ERROR(link->AwaitMappings(deadline));
    if (!link->has_mapped_) return opened;
    link->limits_ = absl::StrCat(
        "only memory that the peer's engine has allocated (AllocateMemory), "
        "because ",
        opened.message());
  }
  if (maps && watcher != nullptr) TE_RETURN_IF_ERROR(link->HearBy(*watcher));
  return link;
}

absl::Status PeerLink::OpenProcess(const ShmOptions& options,
                                   const Welcome& welcome, const Token& token) {
  if (!options.kernel_copies) {
    return absl::PermissionDeniedError("copying by the kernel is switched off");
  }
  if (pid_ == 0) {
    return absl::PermissionDeniedError(
        "the peer is in a PID namespace that cannot be seen from here, so its "
        "memory cannot be reached");
  }
  TE_ASSIGN_OR_RETURN(ProcessMemory process,
                      ProcessMemory::Open(pid_, welcome.token_address, token));
  TE_RETURN_IF_ERROR(process.TryToWrite(welcome.scratch_address));
  process_ = std::move(process);
  return absl::OkStatus();
}

absl::Status PeerLink::AwaitMappings(MonotonicTime deadline) {
  for (;;) {
    Hear();
    if (told_all_) return absl::OkStatus();
    if (IsGone()) return Unusable("the peer has ended");
    TE_RETURN_IF_ERROR(AwaitReadable(socket_.get(), deadline));
  }
}

absl::Status PeerLink::HearBy(LinkWatcher& watcher) {
  std::vector<int> fds = {socket_.get()};
  if (process_) fds.push_back(process_->pidfd());
  TE_RETURN_IF_ERROR(watcher.Watch(*this, fds));
  MutexLock lock(retiring_);
  watcher_ = &watcher;
  return absl::OkStatus();
}

PeerLink::~PeerLink() { Retire(); }

void PeerLink::Retire() {
  {
    MutexLock lock(retiring_);
    if (watcher_ != nullptr) std::exchange(watcher_, nullptr)->Forget(*this);
  }
  // A child of a fork may have a copy of the socket.
  shutdown(socket_.get(), SHUT_RDWR);
  mapped_.UnmapAll();
}

std::byte* PeerLink::Enter(const Pinned& pinned, uint64_t bytes,
                           Operation operation) {
  if (!pinned.mapping.valid() || !maps_) return nullptr;
  const bool write = operation == Operation::kWrite;
  std::byte* data = mapped_.Enter(pinned.mapping, pinned.offset, bytes, write);
  if (data != nullptr) return data;
  // The owner says of a mapping before it grants it, so it lies in the socket;
  // or comes soon, if this is a new link.
  if (failed_ == pinned.mapping.serial) return nullptr;
  Hear();
  return mapped_.Enter(pinned.mapping, pinned.offset, bytes, write);
}

void PeerLink::Hear() {
  MutexLock lock(hearing_);
  // Owners that never stop to talk do not keep anybody here.
  for (uint32_t i = 0; i < 2 * kMaxMappings; ++i) {
    MappingNotice notice;
    absl::StatusOr<Message> message =
        ReceiveMessage(socket_.get(), BytesOf(notice), MonotonicTime());
    if (absl::IsDeadlineExceeded(message.status()) ||
        absl::IsUnavailable(message.status())) {
      return;
    }
    absl::Status status = message.status();
    if (message.ok()) status = Take(notice, *std::move(message));
    if (status.ok()) continue;
    failed_ = notice.mapping.serial;
    // What was there before is gone in any case.
    mapped_.Unmap(notice.mapping.index);
    LOG_EVERY_T(WARNING, 10)
        << "memory of process " << pid_
        << " cannot be mapped, so the kernel copies it: " << status;
  }
}

absl::Status PeerLink::Take(const MappingNotice& notice, Message message) {
  if (message.bytes != sizeof(notice)) {
    return absl::InvalidArgumentError("a notice of another length");
  }
  if (notice.mapping.valid() && message.fds.size() == 1) {
    TE_RETURN_IF_ERROR(mapped_.Map(notice.mapping, std::move(message.fds[0]),
                                   notice.writable != 0));
    has_mapped_ = true;
    return absl::OkStatus();
  }
  if (notice.mapping.index == kMaxMappings) told_all_ = true;
  mapped_.Unmap(notice.mapping.index);
  return absl::OkStatus();
}

bool PeerLink::OnEvent() {
  // First: what comes in between is heard as well.
  const bool gone = IsGone();
  Hear();
  if (gone) mapped_.UnmapAll();
  return !gone;
}

bool PeerLink::IsGone() const {
  // A negative descriptor is passed over.
  pollfd polled[] = {
      {.fd = socket_.get(), .events = POLLRDHUP},
      {.fd = process_ ? process_->pidfd() : -1, .events = POLLIN}};
  int count = 0;
  do {
    count = poll(polled, std::size(polled), 0);
  } while (count < 0 && errno == EINTR);
  return count != 0;
}

std::string PeerLink::Describe() const {
  return is_self_ ? "this process" : absl::StrCat("process ", pid_);
}

}  // namespace te::shm
