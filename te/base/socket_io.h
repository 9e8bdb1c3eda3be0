// Stream sockets for threads that may wait, always with a deadline. The sockets
// are non-blocking. DEADLINE_EXCEEDED when the deadline passes first;
// UNAVAILABLE when the peer has closed the connection or the socket failed;
// CANCELLED as soon as they would wait while `interrupt`, if that is a
// descriptor, can be read. Nothing raises SIGPIPE.

#ifndef TE_BASE_SOCKET_IO_H_
#define TE_BASE_SOCKET_IO_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"

namespace te {

// Connects a socket that is not connected yet. After an error it is of no use.
absl::Status ConnectSocket(int fd, const sockaddr* address, socklen_t length,
                           MonotonicTime deadline, int interrupt = -1);

// Send or receive all of it.
absl::Status SendAll(int fd, absl::Span<const std::byte> data,
                     MonotonicTime deadline, int interrupt = -1);
absl::Status ReceiveAll(int fd, absl::Span<std::byte> data,
                        MonotonicTime deadline);
// Receives at least a byte; returns how many.
absl::StatusOr<size_t> ReceiveSome(int fd, absl::Span<std::byte> data,
                                   MonotonicTime deadline, int interrupt = -1);

}  // namespace te

#endif  // TE_BASE_SOCKET_IO_H_
