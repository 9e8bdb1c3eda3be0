#ifndef TE_LISTEN_ADDRESS_H_
#define TE_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"

namespace te {

// Where an engine listens.
struct ListenAddress {
  SocketAddress address;  // with port 0
  PortRange ports;
  // What peers are told: the host as the user wrote it, or the address.
  std::string advertised_host;
};

// Makes sense of Options::local_server_name. Resolves host names, by
// `deadline`. kInvalidArgument: malformed, or every address at once (0.0.0.0,
// ::), of which peers could not be told one; kNotFound: no address of this
// host.
absl::StatusOr<ListenAddress> ChooseListenAddress(
    absl::string_view local_server_name, MonotonicTime deadline);

}  // namespace te

#endif  // TE_LISTEN_ADDRESS_H_
