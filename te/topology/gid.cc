#include "te/topology/gid.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace te {

absl::StatusOr<Gid> Gid::Parse(absl::string_view text) {
  Gid gid;
  // inet_pton would stop at a zero byte.
  if (text.size() >= INET6_ADDRSTRLEN ||
      text.find('\0') != absl::string_view::npos ||
      inet_pton(AF_INET6, std::string(text).c_str(), gid.bytes_.data()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(text.substr(0, 100)),
                     "' is no GID, such as fe80::ac0:ebff:fe12:3456"));
  }
  return gid;
}

std::string Gid::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
  return text;
}

bool Gid::IsZero() const {
  return std::all_of(bytes_.begin(), bytes_.end(),
                     [](uint8_t byte) { return byte == 0; });
}

bool Gid::IsLinkLocal() const {
  if (IsIpv4Mapped()) return bytes_[12] == 169 && bytes_[13] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool Gid::IsIpv4Mapped() const {
  return std::all_of(bytes_.begin(), bytes_.begin() + 10,
                     [](uint8_t byte) { return byte == 0; }) &&
         bytes_[10] == 0xff && bytes_[11] == 0xff;
}

}  // namespace te
