// The address syntax of options and flags:
//
//   host         db7.example, 10.0.0.1, ::1, [::1], [fe80::1%eth0]
//   host:port    db7.example:9000, [::1]:9000
//   host:ports   db7.example:9000-9100            (HostPortRange alone)
//
// An IPv6 address with a port stands in brackets. Host names are not resolved
// here. Errors are INVALID_ARGUMENT, quote the input and say what is wrong.

#ifndef TE_BASE_HOST_PORT_H_
#define TE_BASE_HOST_PORT_H_

#include <stdint.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te {

// "host:port", with brackets around an IPv6 host.
std::string JoinHostPort(absl::string_view host, uint16_t port);

struct HostPort {
  std::string host;  // without brackets
  std::optional<uint16_t> port;

  static absl::StatusOr<HostPort> Parse(absl::string_view text);
  // What Parse reads back to an equal value.
  std::string ToString() const;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// The ports first..last, both included; first <= last. 0..0 lets the system
// choose; a longer range does not begin with 0.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;

  uint32_t size() const { return static_cast<uint32_t>(last) - first + 1; }
  // "9000" or "9000-9100".
  static absl::StatusOr<PortRange> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const PortRange&, const PortRange&) = default;
};

struct HostPortRange {
  std::string host;  // without brackets
  std::optional<PortRange> ports;

  static absl::StatusOr<HostPortRange> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const HostPortRange&, const HostPortRange&) = default;
};

}  // namespace te

#endif  // TE_BASE_HOST_PORT_H_
