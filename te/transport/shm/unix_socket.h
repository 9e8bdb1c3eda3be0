// Unix sockets that keep messages apart and carry file descriptors, under names
// that no file system shows (unix(7): abstract addresses). Such a name is known
// within one network namespace, and goes with its socket. All are non-blocking
// and close-on-exec.

#ifndef TE_TRANSPORT_SHM_UNIX_SOCKET_H_
#define TE_TRANSPORT_SHM_UNIX_SOCKET_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/unique_fd.h"

namespace te::shm {

// A name that nobody has yet.
absl::StatusOr<std::string> NewSocketName();
// Whether it may be one of those; it may come from a peer.
bool IsSocketName(absl::string_view name);

absl::StatusOr<UniqueFd> ListenOnName(const std::string& name);
// NOT_FOUND: nobody listens there, as far as this network namespace knows.
absl::StatusOr<UniqueFd> ConnectToName(const std::string& name,
                                       MonotonicTime deadline);

// Of who made the other end: the one who listens, or who has connected
// (SO_PEERCRED). The kernel vouches for it.
struct PeerCredentials {
  // 0: a process that this one's PID namespace does not show.
  pid_t pid = 0;
  uid_t uid = 0;
};
absl::StatusOr<PeerCredentials> CredentialsOf(int socket);

// Sends `bytes`, and copies of `fds`, 2 at most, as one message.
// RESOURCE_EXHAUSTED: the peer does not receive what there is, and the socket
// is full. UNAVAILABLE: it has gone, or too many descriptors are on their way.
absl::Status SendMessage(int socket, absl::Span<const std::byte> bytes,
                         absl::Span<const int> fds = {});

struct Message {
  size_t bytes = 0;
  std::vector<UniqueFd> fds;
};
// Waits for a message, or the end of the connection; as ReceiveMessage does.
absl::Status AwaitReadable(int socket, MonotonicTime deadline);
// Into `buffer`; what is longer, or has more descriptors, is INVALID_ARGUMENT.
// UNAVAILABLE: the peer has gone. DEADLINE_EXCEEDED: there is none by then.
absl::StatusOr<Message> ReceiveMessage(int socket, absl::Span<std::byte> buffer,
                                       MonotonicTime deadline);

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_UNIX_SOCKET_H_
