#include "te/base/free_port.h"

#include <stdint.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "te/base/host_port.h"

namespace te {
namespace {

// How often the ports are tried. When two sockets begin to listen on one port
// at the same moment, Linux refuses both (each announces itself before it is
// checked, see inet_csk_listen_start), so a port that was refused may be free.
constexpr int kPasses = 5;

}  // namespace

absl::Status FindFreePort(
    const PortRange& ports,
    absl::FunctionRef<absl::Status(uint16_t port)> listen) {
  absl::Status in_use;
  for (int pass = 0; pass < kPasses; ++pass) {
    // In 32 bits, so that a range up to 65535 ends.
    for (uint32_t port = ports.first; port <= ports.last; ++port) {
      absl::Status status = listen(static_cast<uint16_t>(port));
      if (!absl::IsAlreadyExists(status)) return status;
      in_use = status;
    }
  }
  return in_use;
}

}  // namespace te
