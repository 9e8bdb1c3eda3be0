#include "te/grpc/channel.h"

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/process_resources.h"
#include "te/base/socket_address.h"
#include "te/base/socket_io.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/grpc/echo.grpc.pb.h"
#include "te/grpc/listener.h"
#include "te/grpc/server.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

MonotonicTime Soon() { return RealClock().Now() + seconds(30); }
// Earlier than gRPC gives up an attempt to connect.
MonotonicTime BeforeAttemptsEnd() { return RealClock().Now() + seconds(10); }

const SocketAddress& AnyPort() {
  static const SocketAddress address = *SocketAddress::FromIp("127.0.0.1", 0);
  return address;
}

std::unique_ptr<GrpcChannel> ChannelTo(const SocketAddress& address) {
  return std::make_unique<GrpcChannel>(
      "test server",
      std::vector<HostPort>{{.host = address.ip(), .port = address.port()}});
}

grpc::Status Echo(const std::shared_ptr<grpc::Channel>& channel,
                  grpc::ClientContext& context) {
  proto::EchoMessage response;
  return proto::Echo::NewStub(channel)->Send(&context, proto::EchoMessage(),
                                             &response);
}

// Listens, and says in HTTP/2 only what it is told to.
class SilentServer {
 public:
  SilentServer() : listener_(*ListenForGrpc(AnyPort(), {})) {}

  explicit SilentServer(uint16_t port)
      : listener_(*ListenForGrpc(AnyPort(), {port, port})) {}

  const SocketAddress& address() const { return listener_.address; }

  bool SomebodyComes(milliseconds within) {
    pollfd wait = {.fd = listener_.fd.get(), .events = POLLIN, .revents = 0};
    return poll(&wait, 1, static_cast<int>(within.count())) == 1;
  }

  // The next connection, when the client has said its hello. UNAVAILABLE: it
  // has gone away instead.
  absl::StatusOr<UniqueFd> Accept() {
    if (!SomebodyComes(seconds(30))) return absl::InternalError("nobody came");
    UniqueFd connection(accept4(listener_.fd.get(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    std::array<std::byte, 24> hello;
    const absl::Status status =
        ReceiveAll(connection.get(), absl::MakeSpan(hello), Soon());
    if (!status.ok()) return status;
    return connection;
  }

  // The client has its connection then.
  static absl::Status SayHello(const UniqueFd& connection) {
    constexpr std::array<std::byte, 9> kSettings = {std::byte{0}, std::byte{0},
                                                    std::byte{0}, std::byte{4}};
    return SendAll(connection.get(), kSettings, Soon());
  }

  // Whether the client closes the connection.
  static bool SeesEnd(const UniqueFd& connection) {
    std::array<std::byte, 256> data;
    const MonotonicTime deadline = BeforeAttemptsEnd();
    for (;;) {
      const absl::Status status =
          ReceiveSome(connection.get(), absl::MakeSpan(data), deadline)
              .status();
      if (!status.ok()) return absl::IsUnavailable(status);
    }
  }

 private:
  GrpcListener listener_;
};

// With a server besides, as engines have it: it polls gRPC's sockets also when
// no call does.
class GrpcChannelTest : public testing::Test {
 protected:
  GrpcChannelTest() : threads_before_(CountOwnThreads()) {
    GrpcServerOptions options;
    options.name = "test";
    options.address = AnyPort();
    server_ = *GrpcServer::Create(options, {&service_});
  }

  // gRPC ends its threads when nothing of it is left.
  ~GrpcChannelTest() override {
    server_.reset();
    EXPECT_LE(AwaitThreads(threads_before_, Soon()), threads_before_)
        << DescribeThreads();
  }

  // ThreadSanitizer starts one of its own with the first.
  static size_t CountOwnThreads() {
    std::thread([] {}).join();
    return CountThreads();
  }

  const size_t threads_before_;
  proto::Echo::Service service_;
  std::unique_ptr<GrpcServer> server_;
};

// gRPC 1.51 never closes a connection that it gets for a channel which has gone
// meanwhile.
TEST_F(GrpcChannelTest, GoesWhileItConnects) {
  SilentServer silent;
  auto channel = ChannelTo(silent.address());
  std::promise<grpc::ClientContext*> begun;
  std::promise<void> cancelled;
  std::thread caller([&] {
    EXPECT_THAT(channel->Call("Send", Soon(),
                              [&](const std::shared_ptr<grpc::Channel>& to,
                                  grpc::ClientContext& context) {
                                begun.set_value(&context);
                                grpc::Status status = Echo(to, context);
                                // TryCancel may still use the context.
                                cancelled.get_future().wait();
                                return status;
                              }),
                StatusIs(absl::StatusCode::kCancelled));
  });
  absl::StatusOr<UniqueFd> connection = silent.Accept();
  begun.get_future().get()->TryCancel();
  cancelled.set_value();
  caller.join();
  TE_ASSERT_OK(connection);
  channel.reset();
  TE_ASSERT_OK(SilentServer::SayHello(*connection));
  EXPECT_TRUE(SilentServer::SeesEnd(*connection));
}

TEST_F(GrpcChannelTest, GivesUpAServerThatAnswersLater) {
  SilentServer silent;
  auto channel = ChannelTo(silent.address());
  absl::StatusOr<UniqueFd> connection;
  do {
    EXPECT_THAT(
        channel->Call("Send", RealClock().Now() + milliseconds(50), Echo),
        StatusIs(absl::StatusCode::kDeadlineExceeded));
    connection = silent.Accept();
  } while (absl::IsUnavailable(connection.status()));
  TE_ASSERT_OK(connection);
  TE_ASSERT_OK(SilentServer::SayHello(*connection));
  EXPECT_TRUE(SilentServer::SeesEnd(*connection));
}

// It would be in no state in which it can be let go.
TEST_F(GrpcChannelTest, DoesNotConnectAgainOfItsOwnAccord) {
  auto silent = std::make_unique<SilentServer>();
  auto channel = ChannelTo(silent->address());
  const uint16_t port = silent->address().port();
  silent.reset();
  EXPECT_THAT(channel->Call("Send", Soon(), Echo),
              StatusIs(absl::StatusCode::kUnavailable));
  silent = std::make_unique<SilentServer>(port);
  // gRPC's own backoff is one second.
  EXPECT_FALSE(silent->SomebodyComes(milliseconds(1'500)));
}

TEST_F(GrpcChannelTest, LeavesNothingOfManyShortCalls) {
  const SocketAddress& address = server_->bound_address();
  EXPECT_THAT(ChannelTo(address)->Call("Send", Soon(), Echo),
              StatusIs(absl::StatusCode::kUnimplemented));
  const size_t descriptors_before = CountOpenDescriptors();
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 8; ++seed) {
    threads.emplace_back([&address, seed] {
      std::minstd_rand random(seed);
      for (int i = 0; i < 100; ++i) {
        const absl::Status status = ChannelTo(address)->Call(
            "Send", RealClock().Now() + microseconds(random() % 4'000), Echo);
        EXPECT_TRUE(absl::IsUnimplemented(status) ||
                    absl::IsDeadlineExceeded(status))
            << status;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(AwaitOpenDescriptors(descriptors_before, Soon()),
            descriptors_before)
      << DescribeOpenDescriptors();
}

}  // namespace
}  // namespace te
