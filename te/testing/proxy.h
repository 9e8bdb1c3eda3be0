#ifndef TE_TESTING_PROXY_H_
#define TE_TESTING_PROXY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>

#include "absl/status/statusor.h"
#include "te/base/socket_address.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"

namespace te {

// A network between clients and one server, which a test can cut: then nothing
// gets through any more, and nobody is told. Thread-safe.
class Proxy {
 public:
  // Passes connections to address() on to `target`.
  static absl::StatusOr<std::unique_ptr<Proxy>> Start(
      const SocketAddress& target);
  // Hangs up.
  ~Proxy();

  const SocketAddress& address() const { return address_; }

  void Cut() { Set(true); }
  // What was sent meanwhile arrives now.
  void Heal() { Set(false); }

 private:
  using Pair = std::array<UniqueFd, 2>;

  Proxy(const SocketAddress& target, const SocketAddress& address,
        UniqueFd listener, UniqueFd wake);

  void Set(bool cut);
  void Wake();
  void Run();
  void Accept();
  static bool Forward(const Pair& pair, uint32_t from);

  const SocketAddress target_;
  const SocketAddress address_;
  const UniqueFd listener_;
  const UniqueFd wake_;
  std::atomic<bool> cut_{false};
  std::atomic<bool> stopping_{false};
  // The thread's own.
  std::list<Pair> pairs_;
  Thread thread_;
};

}  // namespace te

#endif  // TE_TESTING_PROXY_H_
