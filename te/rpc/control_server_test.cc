#include "te/rpc/control_server.h"

#include <stdint.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/grpc/health_check.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control_client.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/fake_control_handler.h"

namespace te {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

ControlServerOptions On(const char* ip, PortRange ports = {}) {
  ControlServerOptions options;
  options.server.address = *SocketAddress::FromIp(ip, 0);
  options.server.ports = ports;
  options.incarnation = *Incarnation::Random();
  return options;
}

std::unique_ptr<ControlClient> ClientOf(const ControlServer& server) {
  return *ControlClient::Create(server.bound_address().ToString());
}

// A socket that listens on a port the system chose, to be in the way.
class Occupied {
 public:
  explicit Occupied(const char* ip, uint16_t port = 0)
      : address_(*SocketAddress::FromIp(ip, port)),
        fd_(socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ok_ = bind(fd_.get(), address_.data(), address_.length()) == 0 &&
          listen(fd_.get(), 1) == 0;
    sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    address_ = *SocketAddress::FromSockaddr(
        reinterpret_cast<const sockaddr*>(&bound), length);
  }

  bool ok() const { return ok_; }
  uint16_t port() const { return address_.port(); }

 private:
  SocketAddress address_;
  UniqueFd fd_;
  bool ok_;
};

class ControlServerTest : public testing::Test {
 protected:
  FakeControlHandler handler_;
};

TEST_F(ControlServerTest, ServesOnIpv4AndIpv6) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    TE_ASSERT_OK_AND_ASSIGN(auto server,
                            ControlServer::Create(On(ip), handler_));
    EXPECT_EQ(server->bound_address().ip(), ip);
    EXPECT_NE(server->bound_address().port(), 0);
    TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot segment,
                            ClientOf(*server)->GetSegment(Soon()));
    EXPECT_EQ(segment.descriptor, handler_.descriptor());
  }
}

TEST_F(ControlServerTest, ListensOnNoOtherAddress) {
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(On("127.0.0.1"), handler_));
  const uint16_t port = server->bound_address().port();
  for (const char* other : {"127.0.0.2", "::1"}) {
    auto client = *ControlClient::Create(JoinHostPort(other, port));
    EXPECT_THAT(client->GetSegment(Soon()),
                StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(ControlServerTest, TheUnspecifiedAddressMeansEveryAddress) {
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(On("::"), handler_));
  const uint16_t port = server->bound_address().port();
  for (const char* ip : {"127.0.0.1", "::1"}) {
    auto client = *ControlClient::Create(JoinHostPort(ip, port));
    TE_EXPECT_OK(client->GetSegment(Soon()));
  }
}

TEST_F(ControlServerTest, AnOccupiedPortIsNamed) {
  Occupied occupied("127.0.0.1");
  ASSERT_TRUE(occupied.ok());
  EXPECT_THAT(
      ControlServer::Create(On("127.0.0.1", {occupied.port(), occupied.port()}),
                            handler_),
      StatusIs(absl::StatusCode::kAlreadyExists,
               AllOf(HasSubstr(absl::StrCat("127.0.0.1:", occupied.port())),
                     HasSubstr("EADDRINUSE"))));
}

TEST_F(ControlServerTest, TwoServersNeverShareAPort) {
  TE_ASSERT_OK_AND_ASSIGN(auto first,
                          ControlServer::Create(On("127.0.0.1"), handler_));
  const uint16_t port = first->bound_address().port();
  EXPECT_THAT(ControlServer::Create(On("127.0.0.1", {port, port}), handler_),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(ControlServerTest, AnAddressOfAnotherHostIsRefused) {
  // TEST-NET-2: no host has it. Another port would not help.
  for (const PortRange ports : {PortRange{}, PortRange{20000, 20010}}) {
    EXPECT_THAT(
        ControlServer::Create(On("198.51.100.1", ports), handler_),
        StatusIs(absl::StatusCode::kNotFound,
                 AllOf(HasSubstr("198.51.100.1"), HasSubstr("EADDRNOTAVAIL"))));
  }
}

TEST_F(ControlServerTest, RefusesOptionsThatMakeNoSense) {
  auto create = [this](auto change) {
    ControlServerOptions options = On("127.0.0.1");
    change(options);
    return ControlServer::Create(options, handler_).status();
  };
  auto is_invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(create([](auto& o) { o.incarnation = {}; }), is_invalid);
  EXPECT_THAT(create([](auto& o) { o.server.max_threads = 1; }), is_invalid);
  EXPECT_THAT(create([](auto& o) { o.server.max_connections = 0; }),
              is_invalid);
  EXPECT_THAT(create([](auto& o) { o.server.max_message_bytes = 0; }),
              is_invalid);
  EXPECT_THAT(
      create([](auto& o) { o.server.max_call_time = Duration::zero(); }),
      is_invalid);
  EXPECT_THAT(create([](auto& o) { o.server.ports = {2, 1}; }), is_invalid);
}

// Finds `count` consecutive ports that are free now, beginning the search
// anywhere, so that tests at the same time on one host keep apart.
uint16_t FreeRange(int count) {
  // Below the ports that the system hands out for port 0.
  constexpr int kFirst = 10000;
  constexpr int kPorts = 20000;
  const auto random = Incarnation::Random()->bytes();
  const int start = (random[0] * 256 + random[1]) % kPorts;
  for (int offset = 0; offset < kPorts; offset += count) {
    const int first = kFirst + (start + offset) % kPorts;
    bool free = true;
    for (int port = first; free && port < first + count; ++port) {
      free = Occupied("127.0.0.1", static_cast<uint16_t>(port)).ok();
    }
    if (free) return static_cast<uint16_t>(first);
  }
  return 0;
}

TEST_F(ControlServerTest, ARangeIsUsedUpToItsLastPort) {
  const uint16_t first = FreeRange(2);
  ASSERT_NE(first, 0);
  const auto last = static_cast<uint16_t>(first + 1);
  Occupied occupied("127.0.0.1", first);
  TE_ASSERT_OK_AND_ASSIGN(
      auto server,
      ControlServer::Create(On("127.0.0.1", {first, last}), handler_));
  EXPECT_EQ(server->bound_address().port(), last);
  EXPECT_THAT(
      ControlServer::Create(On("127.0.0.1", {first, last}), handler_),
      StatusIs(absl::StatusCode::kAlreadyExists,
               HasSubstr(absl::StrCat("every port of ", first, "-", last))));
}

// As many servers as ports, all started at once: each must find one.
TEST_F(ControlServerTest, SixtyFourServersShareARangeOfSixtyFourPorts) {
  constexpr int kServers = 64;
  const uint16_t first = FreeRange(kServers);
  ASSERT_NE(first, 0);
  const auto last = static_cast<uint16_t>(first + kServers - 1);
  std::vector<absl::StatusOr<std::unique_ptr<ControlServer>>> servers(kServers);
  std::vector<std::thread> threads;
  for (auto& server : servers) {
    threads.emplace_back([&] {
      ControlServerOptions options = On("127.0.0.1", {first, last});
      options.server.max_threads = 2;
      server = ControlServer::Create(options, handler_);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint16_t> ports;
  for (auto& server : servers) {
    TE_ASSERT_OK(server);
    ports.insert((*server)->bound_address().port());
  }
  EXPECT_EQ(ports.size(), static_cast<size_t>(kServers));
  TE_EXPECT_OK(ClientOf(**servers.back())->GetSegment(Soon()));
}

TEST_F(ControlServerTest, AnswersHealthChecks) {
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(On("127.0.0.1"), handler_));
  const std::string address = server->bound_address().ToString();
  for (const bool serving : {false, true, false}) {
    EXPECT_THAT(CheckHealth(address, Soon()), IsOkAndHolds(serving));
    server->SetServing(!serving);
  }
}

TEST_F(ControlServerTest, ConnectionsAreBounded) {
  ControlServerOptions options = On("127.0.0.1");
  options.server.max_connections = 1;
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(options, handler_));
  auto client = ClientOf(*server);
  TE_ASSERT_OK(client->GetSegment(Soon()));
  const SocketAddress& address = server->bound_address();
  const UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(fd.get(), address.data(), address.length()), 0);
  char byte;
  EXPECT_LE(recv(fd.get(), &byte, 1, 0), 0);
  TE_EXPECT_OK(client->GetSegment(Soon()));
}

TEST_F(ControlServerTest, GarbageDoesNotDisturbIt) {
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(On("127.0.0.1"), handler_));
  const SocketAddress& address = server->bound_address();
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(4096, '\xff'),
        std::string(1, '\0'), preface + std::string(4096, '\x7f'),
        preface + std::string("\0\0\0\4\0\0\0\0\0\xff\xff\xff", 12)}) {
    UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(fd.get(), address.data(), address.length()), 0);
    send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    shutdown(fd.get(), SHUT_WR);
    char buffer[4096];
    while (recv(fd.get(), buffer, sizeof(buffer), 0) > 0) {
    }
    TE_EXPECT_OK(ClientOf(*server)->GetSegment(Soon()));
  }
}

TEST_F(ControlServerTest, TooLargeARequestIsRefused) {
  ControlServerOptions options = On("127.0.0.1");
  options.server.max_message_bytes = 1000;
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(options, handler_));
  ControlHandshake handshake{.transport = "tcp",
                             .client = *Incarnation::Random(),
                             .payload = std::string(1000, 'x')};
  EXPECT_THAT(
      ClientOf(*server)->Handshake(options.incarnation, handshake, Soon()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger")));
  handshake.payload = "small";
  TE_EXPECT_OK(
      ClientOf(*server)->Handshake(options.incarnation, handshake, Soon()));
}

TEST_F(ControlServerTest, CallsWithoutDeadlineGetOne) {
  ControlServerOptions options = On("127.0.0.1");
  options.server.max_call_time = std::chrono::seconds(5);
  // Atomic, since ThreadSanitizer does not see that gRPC orders the handler
  // before the answer.
  std::atomic<MonotonicTime> seen;
  handler_.on_handshake = [&seen](const ControlHandshake&,
                                  MonotonicTime deadline) {
    seen = deadline;
    return "";
  };
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(options, handler_));
  MonotonicTime before = RealClock().Now();
  TE_ASSERT_OK(ClientOf(*server)->Handshake(
      options.incarnation,
      {.transport = "tcp", .client = *Incarnation::Random(), .payload = ""},
      kNoDeadline));
  EXPECT_GE(seen.load(), before + options.server.max_call_time);
  EXPECT_LE(seen.load(), RealClock().Now() + options.server.max_call_time);
}

TEST_F(ControlServerTest, ShutdownEndsTheServiceAndMayBeRepeated) {
  TE_ASSERT_OK_AND_ASSIGN(auto server,
                          ControlServer::Create(On("127.0.0.1"), handler_));
  auto client = ClientOf(*server);
  TE_ASSERT_OK(client->GetSegment(Soon()));
  server->Shutdown(Soon());
  server->Shutdown(Soon());
  EXPECT_THAT(client->GetSegment(Soon()),
              StatusIs(absl::StatusCode::kUnavailable));
  const uint16_t port = server->bound_address().port();
  TE_EXPECT_OK(
      ControlServer::Create(On("127.0.0.1", {port, port}), handler_).status());
}

}  // namespace
}  // namespace te
