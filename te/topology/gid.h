#ifndef TE_TOPOLOGY_GID_H_
#define TE_TOPOLOGY_GID_H_

#include <stdint.h>

#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te {

// An RDMA port's address: 128 bits in the form of an IPv6 address. On Ethernet
// it is the IP address of the netdev, an IPv4 address being mapped
// (::ffff:10.0.0.1); on InfiniBand a subnet prefix and the port's GUID
// (InfiniBand Architecture Specification, volume 1, 4.1.1). A value.
class Gid {
 public:
  Gid() = default;
  explicit Gid(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}

  // Reads any spelling of an IPv6 address, so both that of sysfs,
  // "fe80:0000:0000:0000:0ac0:ebff:fe12:3456", and what ToString prints.
  static absl::StatusOr<Gid> Parse(absl::string_view text);
  // As RFC 5952 has it: "fe80::ac0:ebff:fe12:3456", "::ffff:10.0.0.1".
  std::string ToString() const;

  // In the order in which they are sent.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }

  // An entry of a GID table that is not in use.
  bool IsZero() const;
  // fe80::/10, which routers do not forward; or an IPv4 address of 169.254/16.
  bool IsLinkLocal() const;
  // Whether it stands for an IPv4 address.
  bool IsIpv4Mapped() const;

  friend bool operator==(const Gid&, const Gid&) = default;

 private:
  std::array<uint8_t, 16> bytes_ = {};
};

}  // namespace te

#endif  // TE_TOPOLOGY_GID_H_
