#include "te/base/host_port.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

constexpr size_t kMaxHostBytes = 253;  // RFC 1035: a name in text form
constexpr size_t kMaxScopeBytes = 15;  // IFNAMSIZ, less the end

// The two halves of the text, before the port is understood.
struct Parts {
  std::string host;
  std::optional<absl::string_view> port;
};

absl::Status Malformed(absl::string_view text, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed address '", absl::CHexEscape(text.substr(0, 300)),
                   "': ", problem));
}

bool IsIpv6(absl::string_view host) {
  size_t percent = host.find('%');
  absl::string_view address = host.substr(0, percent);
  if (percent != absl::string_view::npos) {
    absl::string_view scope = host.substr(percent + 1);
    bool printable = std::all_of(scope.begin(), scope.end(), [](char c) {
      return absl::ascii_isgraph(c) && c != '%' && c != ']' && c != '/';
    });
    if (scope.empty() || scope.size() > kMaxScopeBytes || !printable) {
      return false;
    }
  }
  in6_addr ignored;
  return inet_pton(AF_INET6, std::string(address).c_str(), &ignored) == 1 &&
         address.find('\0') == absl::string_view::npos;
}

bool IsNameOrIpv4(absl::string_view host) {
  return !host.empty() && host.size() <= kMaxHostBytes &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
         });
}

absl::StatusOr<Parts> Split(absl::string_view text) {
  Parts parts;
  if (!text.empty() && text.front() == '[') {
    size_t close = text.find(']');
    if (close == absl::string_view::npos) {
      return Malformed(text, "the bracket '[' is not closed");
    }
    parts.host = std::string(text.substr(1, close - 1));
    if (!IsIpv6(parts.host)) {
      return Malformed(text, "what stands in brackets is no IPv6 address");
    }
    absl::string_view rest = text.substr(close + 1);
    if (rest.empty()) return parts;
    if (rest.front() != ':') {
      return Malformed(text, "expected ':' and a port after ']'");
    }
    parts.port = rest.substr(1);
    return parts;
  }
  size_t colon = text.find(':');
  if (colon != absl::string_view::npos &&
      text.find(':', colon + 1) != absl::string_view::npos) {
    if (!IsIpv6(text)) {
      return Malformed(text,
                       "more than one ':' but no IPv6 address; write IPv6 with "
                       "a port as [address]:port");
    }
    parts.host = std::string(text);
    return parts;
  }
  absl::string_view host = text.substr(0, colon);
  if (host.empty()) return Malformed(text, "the host is missing");
  if (!IsNameOrIpv4(host)) {
    return Malformed(text,
                     "the host may have letters, digits, '.', '-' and '_', 253 "
                     "in all");
  }
  parts.host = std::string(host);
  if (colon != absl::string_view::npos) parts.port = text.substr(colon + 1);
  return parts;
}

std::optional<uint16_t> ParsePort(absl::string_view text) {
  uint32_t port;
  // SimpleAtoi alone would take signs and spaces.
  if (text.empty() || text.size() > 5 ||
      !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &port) || port > 65535) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(port);
}

absl::Status BadPort(absl::string_view text, absl::string_view port) {
  return Malformed(text, absl::StrCat("port '", absl::CHexEscape(port),
                                      "' is no number from 0 to 65535"));
}

absl::StatusOr<PortRange> ParseRange(absl::string_view text,
                                     absl::string_view range) {
  size_t dash = range.find('-');
  absl::string_view first_text = range.substr(0, dash);
  absl::string_view last_text =
      dash == absl::string_view::npos ? first_text : range.substr(dash + 1);
  std::optional<uint16_t> first = ParsePort(first_text);
  if (!first.has_value()) return BadPort(text, first_text);
  std::optional<uint16_t> last = ParsePort(last_text);
  if (!last.has_value()) return BadPort(text, last_text);
  if (*first > *last) {
    return Malformed(text, absl::StrCat("the port range ", *first, "-", *last,
                                        " ends before it begins"));
  }
  if (*first == 0 && *last != 0) {
    return Malformed(text,
                     "a port range cannot begin with 0; write 0 alone to let "
                     "the system choose");
  }
  return PortRange{.first = *first, .last = *last};
}

std::string Bracketed(absl::string_view host) {
  return host.find(':') == absl::string_view::npos
             ? std::string(host)
             : absl::StrCat("[", host, "]");
}

}  // namespace

std::string JoinHostPort(absl::string_view host, uint16_t port) {
  return absl::StrCat(Bracketed(host), ":", port);
}

absl::StatusOr<HostPort> HostPort::Parse(absl::string_view text) {
  TE_ASSIGN_OR_RETURN(Parts parts, Split(text));
  HostPort result{.host = parts.host, .port = std::nullopt};
  if (!parts.port.has_value()) return result;
  result.port = ParsePort(*parts.port);
  if (!result.port.has_value()) return BadPort(text, *parts.port);
  return result;
}

std::string HostPort::ToString() const {
  return port.has_value() ? JoinHostPort(host, *port) : Bracketed(host);
}

absl::StatusOr<PortRange> PortRange::Parse(absl::string_view text) {
  return ParseRange(text, text);
}

std::string PortRange::ToString() const {
  return first == last ? absl::StrCat(first) : absl::StrCat(first, "-", last);
}

absl::StatusOr<HostPortRange> HostPortRange::Parse(absl::string_view text) {
  TE_ASSIGN_OR_RETURN(Parts parts, Split(text));
  HostPortRange result{.host = parts.host, .ports = std::nullopt};
  if (!parts.port.has_value()) return result;
  TE_ASSIGN_OR_RETURN(result.ports, ParseRange(text, *parts.port));
  return result;
}

std::string HostPortRange::ToString() const {
  if (!ports.has_value()) return Bracketed(host);
  return absl::StrCat(Bracketed(host), ":", ports->ToString());
}

}  // namespace te
