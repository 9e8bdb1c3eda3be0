#include "te/transport/shm/peer_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/transport/shm/shared_region.h"
#include "te/transport/shm/unix_socket.h"

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
    const Token& token, MonotonicTime deadline) {
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
  const Hello hello = {.token = token};
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
  if (owner.pid == 0) {
    return Unusable(
        "the peer is in a PID namespace that cannot be seen from here, so its "
        "memory cannot be reached");
  }
  std::optional<ProcessMemory> process;
  if (owner.pid != getpid() || !options.direct_within_process) {
    TE_ASSIGN_OR_RETURN(
        process, ProcessMemory::Open(owner.pid, welcome.token_address, token));
    TE_RETURN_IF_ERROR(process->TryToWrite(welcome.scratch_address));
  }
  return std::unique_ptr<PeerLink>(new PeerLink(
      *std::move(socket),
      GrantedMemory(std::move(grants), std::move(pins), welcome.slots),
      owner.pid, std::move(process)));
}

// A child of a fork may have a copy of the socket.
PeerLink::~PeerLink() { shutdown(socket_.get(), SHUT_RDWR); }

bool PeerLink::IsGone() const {
  // A negative descriptor is passed over.
  pollfd polled[] = {
      {.fd = socket_.get(), .events = POLLIN | POLLRDHUP},
      {.fd = process_ ? process_->pidfd() : -1, .events = POLLIN}};
  int count = 0;
  do {
    count = poll(polled, std::size(polled), 0);
  } while (count < 0 && errno == EINTR);
  return count != 0;
}

std::string PeerLink::Describe() const {
  return process_ ? absl::StrCat("process ", pid_) : "this process";
}

}  // namespace te::shm
