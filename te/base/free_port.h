#ifndef TE_BASE_FREE_PORT_H_
#define TE_BASE_FREE_PORT_H_

#include <stdint.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "te/base/host_port.h"

namespace te {

// Looks for a port to listen on: calls `listen` with one port of the range
// after the other, several times, as long as it says ALREADY_EXISTS. Its last
// answer.
absl::Status FindFreePort(
    const PortRange& ports,
    absl::FunctionRef<absl::Status(uint16_t port)> listen);

}  // namespace te

#endif  // TE_BASE_FREE_PORT_H_
