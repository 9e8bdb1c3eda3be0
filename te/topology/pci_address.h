#ifndef TE_TOPOLOGY_PCI_ADDRESS_H_
#define TE_TOPOLOGY_PCI_ADDRESS_H_

#include <stdint.h>

#include <string>
#include <tuple>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te {

// Where a PCI function is: "0000:3b:00.0". A value.
struct PciAddress {
  // Above 16 bits for what Intel's VMD drives.
  uint32_t domain = 0;
  uint8_t bus = 0;
  uint8_t device = 0;
  uint8_t function = 0;

  // Reads "0000:3b:00.0", or without the domain "3b:00.0".
  static absl::StatusOr<PciAddress> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const PciAddress&, const PciAddress&) = default;
  friend bool operator<(const PciAddress& a, const PciAddress& b) {
    return std::tie(a.domain, a.bus, a.device, a.function) <
           std::tie(b.domain, b.bus, b.device, b.function);
  }
};

}  // namespace te

#endif  // TE_TOPOLOGY_PCI_ADDRESS_H_
