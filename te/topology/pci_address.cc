#include "te/topology/pci_address.h"

#include <stdint.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace te {
namespace {

// A number of `digits` hexadecimal digits or fewer, up to `max`.
std::optional<uint32_t> ParseHex(absl::string_view text, size_t digits,
                                 uint32_t max) {
  uint32_t value;
  if (text.empty() || text.size() > digits ||
      !std::all_of(text.begin(), text.end(), absl::ascii_isxdigit) ||
      !absl::SimpleHexAtoi(text, &value) || value > max) {
    return std::nullopt;
  }
  return value;
}

std::optional<PciAddress> TryParse(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() == 2) parts.insert(parts.begin(), "0");
  if (parts.size() != 3) return std::nullopt;
  const std::vector<absl::string_view> slot = absl::StrSplit(parts[2], '.');
  if (slot.size() != 2) return std::nullopt;
  const auto domain = ParseHex(parts[0], 8, UINT32_MAX);
  const auto bus = ParseHex(parts[1], 2, 0xff);
  const auto device = ParseHex(slot[0], 2, 0x1f);
  const auto function = ParseHex(slot[1], 1, 7);
  if (!domain || !bus || !device || !function) return std::nullopt;
  return PciAddress{.domain = *domain,
                    .bus = static_cast<uint8_t>(*bus),
                    .device = static_cast<uint8_t>(*device),
                    .function = static_cast<uint8_t>(*function)};
}

}  // namespace

absl::StatusOr<PciAddress> PciAddress::Parse(absl::string_view text) {
  if (const std::optional<PciAddress> address = TryParse(text)) return *address;
  return absl::InvalidArgumentError(
      absl::StrCat("'", absl::CHexEscape(text.substr(0, 100)),
                   "' is no PCI address, such as 0000:3b:00.0"));
}

std::string PciAddress::ToString() const {
  return absl::StrFormat("%04x:%02x:%02x.%x", domain, bus, device, function);
}

}  // namespace te
