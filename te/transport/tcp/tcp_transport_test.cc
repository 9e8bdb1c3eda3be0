#include "te/transport/tcp/tcp_transport.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/tcp/tcp_options.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te {
namespace {

using testing::HasSubstr;

TransportParam Tcp(std::string name, const TcpOptions& options) {
  return {std::move(name),
          [options](const Incarnation& self, ExposedMemory& memory) {
            return CreateTcpTransport(options, self, memory);
          }};
}

INSTANTIATE_TEST_SUITE_P(
    Tcp, TransportConformance,
    testing::Values(Tcp("OneStream", {}),
                    Tcp("ThreeStreams",
                        {.streams_per_peer = 3, .io_threads = 2}),
                    Tcp("Checksum", {.checksum = true}),
                    Tcp("TinyWindow", {.window_bytes = 64 << 10,
                                       .socket_buffer_bytes = 4096}),
                    Tcp("NoSpin", {.spin = Duration::zero()}),
                    Tcp("IPv6", {.listen_ip = "::1"})),
    [](const auto& info) { return info.param.name; });

TEST(TcpTransportTest, NamesTheOptionThatIsWrong) {
  const std::pair<const char*, std::function<void(TcpOptions&)>> cases[] = {
      {"streams_per_peer", [](TcpOptions& o) { o.streams_per_peer = 0; }},
      {"streams_per_peer", [](TcpOptions& o) { o.streams_per_peer = 65; }},
      {"io_threads", [](TcpOptions& o) { o.io_threads = 0; }},
      {"spin", [](TcpOptions& o) { o.spin = std::chrono::seconds(2); }},
      {"window_bytes", [](TcpOptions& o) { o.window_bytes = 1; }},
      {"window_bytes", [](TcpOptions& o) { o.window_bytes = UINT64_MAX; }},
      {"socket_buffer", [](TcpOptions& o) { o.socket_buffer_bytes = -1; }},
      {"peer_timeout", [](TcpOptions& o) { o.peer_timeout = Duration(0); }},
      {"max_inbound", [](TcpOptions& o) { o.max_inbound_streams = 0; }},
  };
  TestMemory memory;
  for (const auto& [name, spoil] : cases) {
    TcpOptions options;
    spoil(options);
    EXPECT_THAT(CreateTcpTransport(options, Incarnation({1}), memory),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
}

TEST(TcpTransportTest, SaysWhereItCannotListen) {
  TestMemory memory;
  EXPECT_THAT(
      CreateTcpTransport({.listen_ip = "192.0.2.1"}, Incarnation({1}), memory)
          .status()
          .ToString(),
      HasSubstr("192.0.2.1"));
}

}  // namespace
}  // namespace te
