#include "te/base/socket_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"

namespace te {
namespace {

sockaddr_in& AsV4(sockaddr_storage& storage) {
  return reinterpret_cast<sockaddr_in&>(storage);
}
const sockaddr_in& AsV4(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in&>(storage);
}
sockaddr_in6& AsV6(sockaddr_storage& storage) {
  return reinterpret_cast<sockaddr_in6&>(storage);
}
const sockaddr_in6& AsV6(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in6&>(storage);
}

// An interface's name or number.
uint32_t ScopeId(const std::string& scope) {
  uint32_t index = if_nametoindex(scope.c_str());
  if (index == 0 && !absl::SimpleAtoi(scope, &index)) index = 0;
  return index;
}

absl::Status ResolverError(const std::string& host, int error, int errnum) {
  if (error == EAI_SYSTEM) {
    return ErrnoToStatus(errnum, absl::StrCat("resolve host '", host, "'"));
  }
  std::string text =
      absl::StrCat("resolve host '", host, "': ", gai_strerror(error),
                   "; check its spelling, /etc/hosts and DNS");
  switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return absl::NotFoundError(text);
    default:
      return absl::UnavailableError(text);
  }
}

absl::StatusOr<std::vector<SocketAddress>> ResolveBlocking(
    const std::string& host, uint16_t port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;  // otherwise one entry per socket type
  addrinfo* list = nullptr;
  int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) return ResolverError(host, error, errno);
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    absl::StatusOr<SocketAddress> address =
        SocketAddress::FromSockaddr(info->ai_addr, info->ai_addrlen);
    if (!address.ok()) continue;  // neither IPv4 nor IPv6
    SocketAddress with_port = address->WithPort(port);
    if (std::find(addresses.begin(), addresses.end(), with_port) ==
        addresses.end()) {
      addresses.push_back(with_port);
    }
  }
  if (addresses.empty()) return ResolverError(host, EAI_NONAME, 0);
  return addresses;
}

// How many look-ups may go on although nobody waits for them. Of the process,
// as the threads are, which nobody owns.
constexpr int kMaxAbandoned = 16;
std::atomic<int> abandoned_lookups{0};

// Shared between a caller that may give up and the thread that resolves.
struct Resolution {
  Mutex mutex;
  CondVar finished;
  bool abandoned ABSL_GUARDED_BY(mutex) = false;
  std::optional<absl::StatusOr<std::vector<SocketAddress>>> result
      ABSL_GUARDED_BY(mutex);
};

}  // namespace

SocketAddress::SocketAddress() { storage_.ss_family = AF_INET; }

absl::StatusOr<SocketAddress> SocketAddress::FromIp(absl::string_view ip,
                                                    uint16_t port) {
  // A NUL would end the string for the C functions, and pass for less.
  std::string text(ip);
  bool parsed = false;
  SocketAddress address;
  if (text.find('\0') != std::string::npos) {
    // stays unparsed
  } else if (inet_pton(AF_INET, text.c_str(),
                       &AsV4(address.storage_).sin_addr) == 1) {
    parsed = true;
  } else {
    address.storage_ = {};
    sockaddr_in6& v6 = AsV6(address.storage_);
    v6.sin6_family = AF_INET6;
    size_t percent = text.find('%');
    parsed = inet_pton(AF_INET6, text.substr(0, percent).c_str(),
                       &v6.sin6_addr) == 1;
    if (parsed && percent != std::string::npos) {
      std::string scope = text.substr(percent + 1);
      v6.sin6_scope_id = ScopeId(scope);
      if (v6.sin6_scope_id == 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "address '", absl::CHexEscape(text), "': there is no interface '",
            absl::CHexEscape(scope), "' on this host"));
      }
    }
  }
  if (!parsed) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(text.substr(0, 300)),
                     "' is neither an IPv4 nor an IPv6 address"));
  }
  return address.WithPort(port);
}

absl::StatusOr<SocketAddress> SocketAddress::FromSockaddr(
    const sockaddr* address, socklen_t length) {
  socklen_t expected = 0;
  if (length >= sizeof(sa_family_t)) {
    if (address->sa_family == AF_INET) expected = sizeof(sockaddr_in);
    if (address->sa_family == AF_INET6) expected = sizeof(sockaddr_in6);
  }
  if (expected == 0 || length < expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("a socket address of ", length,
                     " bytes is neither an IPv4 nor an IPv6 address"));
  }
  SocketAddress result;
  result.storage_ = {};
  memcpy(&result.storage_, address, expected);
  return result;
}

absl::StatusOr<std::vector<SocketAddress>> SocketAddress::Resolve(
    absl::string_view host, uint16_t port, MonotonicTime deadline) {
  if (absl::StatusOr<SocketAddress> literal = FromIp(host, port);
      literal.ok() || host.find('%') != absl::string_view::npos) {
    if (!literal.ok()) return literal.status();
    return std::vector<SocketAddress>{*literal};
  }
  // Checks the syntax too: getaddrinfo would stop at a NUL.
  absl::StatusOr<HostPort> name = HostPort::Parse(host);
  if (!name.ok()) return name.status();
  if (abandoned_lookups.load() >= kMaxAbandoned) {
    return absl::ResourceExhaustedError(
        absl::StrCat("resolve host '", host, "': ", kMaxAbandoned,
                     " earlier look-ups still wait for the resolver; check DNS "
                     "(/etc/resolv.conf), or use an address"));
  }
  auto resolution = std::make_shared<Resolution>();
  absl::StatusOr<Thread> thread =
      Thread::Start({.name = "te-resolve", .cpus = {}},
                    [resolution, text = std::string(host), port] {
                      auto result = ResolveBlocking(text, port);
                      MutexLock lock(resolution->mutex);
                      resolution->result = std::move(result);
                      if (resolution->abandoned) abandoned_lookups.fetch_sub(1);
                      resolution->finished.NotifyAll();
                    });
  if (!thread.ok()) return thread.status();
  thread->Detach();
  MutexLock lock(resolution->mutex);
  while (!resolution->result.has_value()) {
    if (!resolution->finished.WaitUntil(resolution->mutex, deadline) &&
        !resolution->result.has_value()) {
      resolution->abandoned = true;
      abandoned_lookups.fetch_add(1);
      return absl::DeadlineExceededError(absl::StrCat(
          "resolve host '", host,
          "': no answer within the deadline; check DNS, or use an address"));
    }
  }
  return *std::move(resolution->result);
}

uint16_t SocketAddress::port() const {
  return ntohs(family() == AF_INET ? AsV4(storage_).sin_port
                                   : AsV6(storage_).sin6_port);
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress result = *this;
  if (family() == AF_INET) {
    AsV4(result.storage_).sin_port = htons(port);
  } else {
    AsV6(result.storage_).sin6_port = htons(port);
  }
  return result;
}

bool SocketAddress::IsUnspecified() const {
  if (family() == AF_INET) {
    return AsV4(storage_).sin_addr.s_addr == htonl(INADDR_ANY);
  }
  return IN6_IS_ADDR_UNSPECIFIED(&AsV6(storage_).sin6_addr);
}

bool SocketAddress::IsLoopback() const {
  if (family() == AF_INET) {
    return ntohl(AsV4(storage_).sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  return IN6_IS_ADDR_LOOPBACK(&AsV6(storage_).sin6_addr);
}

socklen_t SocketAddress::length() const {
  return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string SocketAddress::ip() const {
  char text[INET6_ADDRSTRLEN];
  const void* address = &AsV4(storage_).sin_addr;
  if (family() == AF_INET6) address = &AsV6(storage_).sin6_addr;
  CHECK(inet_ntop(family(), address, text, sizeof(text)) != nullptr);
  uint32_t scope = family() == AF_INET6 ? AsV6(storage_).sin6_scope_id : 0;
  if (scope == 0) return text;
  char interface[IF_NAMESIZE];
  if (if_indextoname(scope, interface) == nullptr) {
    return absl::StrCat(text, "%", scope);
  }
  return absl::StrCat(text, "%", interface);
}

std::string SocketAddress::ToString() const {
  return JoinHostPort(ip(), port());
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  if (a.family() != b.family() || a.port() != b.port()) return false;
  if (a.family() == AF_INET) {
    return AsV4(a.storage_).sin_addr.s_addr == AsV4(b.storage_).sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(&AsV6(a.storage_).sin6_addr,
                            &AsV6(b.storage_).sin6_addr) &&
         AsV6(a.storage_).sin6_scope_id == AsV6(b.storage_).sin6_scope_id;
}

}  // namespace te
