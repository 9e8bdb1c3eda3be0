#ifndef TE_TRANSPORT_TCP_RELAY_H_
#define TE_TRANSPORT_TCP_RELAY_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te::tcp {

// Stands between the two ends of one TCP connection, for tests of what the
// network may do to it. Thread-safe.
class Relay {
 public:
  // A run of that many bytes of this value is what CorruptNext looks for.
  static constexpr std::byte kMark{0xa5};
  static constexpr size_t kMarkBytes = 64;

  // Takes one connection at address(), and makes the other one to `target`.
  static absl::StatusOr<std::unique_ptr<Relay>> Start(
      const SocketAddress& target);
  // Hangs up.
  ~Relay();

  const SocketAddress& address() const { return address_; }

  // Changes a byte within the next run of marks, whichever way it goes.
  void CorruptNext() { corrupt_ = true; }

  // From now on this host does not answer any packet of the connection, as if
  // the cable had been cut. PERMISSION_DENIED where the kernel forbids it, in a
  // sandbox for example.
  absl::Status Unplug();

 private:
  Relay(UniqueFd listener, UniqueFd stop, const SocketAddress& address,
        const SocketAddress& target);

  void Run();
  bool Meet();
  bool Forward(int from, int to);
  void Corrupt(absl::Span<std::byte> data);
  MonotonicTime Soon() const;

  const UniqueFd listener_;
  const UniqueFd stop_;
  const SocketAddress address_;
  const SocketAddress target_;
  std::atomic<bool> corrupt_{false};
  // Those of the thread until it has met both.
  std::array<UniqueFd, 2> ends_;
  std::atomic<bool> met_{false};
  Thread thread_;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_RELAY_H_
