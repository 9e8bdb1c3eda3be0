#include "te/transport/tcp/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/tcp_options.h"

namespace te::tcp {
namespace {

using ::testing::HasSubstr;

TcpOptions On(const PortRange& ports) {
  TcpOptions options;
  options.listen_ports = ports;
  return options;
}

TcpOptions On(uint16_t port) { return On({.first = port, .last = port}); }

uint16_t PortOf(const UniqueFd& fd) { return LocalAddress(fd.get())->port(); }

// `count` ports in a row that were free a moment ago.
PortRange FreeRange(int count) {
  for (;;) {
    std::vector<UniqueFd> held;
    held.push_back(*Listen(On(0)));
    const uint16_t first = PortOf(held.front());
    if (first > UINT16_MAX - count) continue;
    while (static_cast<int>(held.size()) < count) {
      auto next = Listen(On(static_cast<uint16_t>(first + held.size())));
      if (!next.ok()) break;
      held.push_back(*std::move(next));
    }
    if (static_cast<int>(held.size()) < count) continue;
    return {.first = first, .last = static_cast<uint16_t>(first + count - 1)};
  }
}

// Each thread listens on a port of `options.listen_ports` and lets it go again,
// `rounds` times in step with the others. Returns how often one got none
// although there was one: which was still free when all was quiet, and so not
// taken by another process.
int WronglyRefused(const TcpOptions& options, int threads, int rounds) {
  std::atomic<int> refused{0};
  std::barrier step(threads);
  std::vector<Thread> running;
  for (int i = 0; i < threads; ++i) {
    running.push_back(*Thread::Start({.name = "listen", .cpus = {}}, [&] {
      for (int round = 0; round < rounds; ++round) {
        step.arrive_and_wait();
        const auto listener = Listen(options);
        step.arrive_and_wait();
        if (!listener.ok() && Listen(options).ok()) refused.fetch_add(1);
        step.arrive_and_wait();
      }
    }));
  }
  running.clear();
  return refused.load();
}

TEST(ListenTest, ManyAtOnceShareARange) {
  constexpr int kThreads = 4;
  EXPECT_EQ(WronglyRefused(On(FreeRange(kThreads)), kThreads, 1000), 0);
}

TEST(ListenTest, TakesTheNextPortOfARange) {
  // Again where another process has taken one of the ports.
  for (int tries = 0; tries < 100; ++tries) {
    const PortRange range = FreeRange(2);
    const auto first = Listen(On(range));
    const auto second = Listen(On(range));
    if (!first.ok() || !second.ok()) continue;
    EXPECT_NE(PortOf(*first), PortOf(*second));
    return;
  }
  FAIL() << "the second port of a free range was never taken";
}

TEST(ListenTest, SaysThatAPortIsInUse) {
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd held, Listen(On(0)));
  EXPECT_THAT(
      Listen(On(PortOf(held))),
      StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("EADDRINUSE")));
}

std::string CongestionControlOf(int fd) {
  char name[16] = {};  // TCP_CA_NAME_MAX of the kernel
  socklen_t length = sizeof(name);
  EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  return name;
}

// Gives it one that is not reno, if this process may use any.
bool TakeAnother(int fd) {
  std::ifstream allowed("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
  std::string name;
  while (allowed >> name) {
    if (name != "reno" && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION,
                                     name.c_str(), name.size()) == 0) {
      return true;
    }
  }
  return false;
}

TEST(AvoidPacingTest, TakesRenoWithinOneHost) {
  const TcpOptions options = On(0);
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd listener, Listen(options));
  TE_ASSERT_OK_AND_ASSIGN(const SocketAddress address,
                          LocalAddress(listener.get()));
  TE_ASSERT_OK_AND_ASSIGN(
      const UniqueFd socket,
      Connect(address, options, RealClock().Now() + std::chrono::seconds(60)));
  EXPECT_EQ(CongestionControlOf(socket.get()), "reno");
  if (!TakeAnother(socket.get())) GTEST_SKIP() << "this kernel has only reno";
  AvoidPacingOnOneHost(socket.get());
  EXPECT_EQ(CongestionControlOf(socket.get()), "reno");
}

TEST(AvoidPacingTest, AcceptedConnectionsInheritRenoOfLoopback) {
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd listener, Listen(On(0)));
  EXPECT_EQ(CongestionControlOf(listener.get()), "reno");
}

TEST(AvoidPacingTest, OtherHostsAreOtherHosts) {
  const auto at = [](const char* ip, uint16_t port) {
    return *SocketAddress::FromIp(ip, port);
  };
  EXPECT_TRUE(IsWithinOneHost(at("127.0.0.1", 1), at("127.0.0.1", 2)));
  EXPECT_TRUE(IsWithinOneHost(at("127.0.0.1", 1), at("127.0.0.2", 2)));
  EXPECT_TRUE(IsWithinOneHost(at("::1", 1), at("::1", 2)));
  EXPECT_TRUE(IsWithinOneHost(at("10.0.0.1", 1), at("10.0.0.1", 2)));
  EXPECT_FALSE(IsWithinOneHost(at("10.0.0.1", 1), at("10.0.0.2", 1)));
  EXPECT_FALSE(IsWithinOneHost(at("fd00::1", 1), at("fd00::2", 1)));
}

TEST(ListenTest, DoesNotTryOtherPortsOfAForeignAddress) {
  TcpOptions options = On({.first = 1, .last = UINT16_MAX});
  options.listen_ip = "203.0.113.1";  // RFC 5737 gives it to nobody
  EXPECT_THAT(Listen(options),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("203.0.113.1:1 for tcp data")));
}

}  // namespace
}  // namespace te::tcp
