#include "te/rpc/control_client.h"

#include <stdint.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/control_server.h"
#include "te/rpc/fake_control_handler.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

class ControlClientTest : public testing::Test {
 protected:
  ControlClientTest() : own_(*Incarnation::Random()) {}

  void Start(PortRange ports = {}) {
    ControlServerOptions options;
    options.server.address = *SocketAddress::FromIp("127.0.0.1", 0);
    options.server.ports = ports;
    options.incarnation = handler_.descriptor().incarnation;
    absl::StatusOr<std::unique_ptr<ControlServer>> server =
        ControlServer::Create(options, handler_);
    TE_ASSERT_OK(server);
    server_ = *std::move(server);
    if (client_ == nullptr) {
      client_ = *ControlClient::Create(server_->bound_address().ToString());
    }
  }
  ControlHandshake Hello() const {
    return {.transport = "tcp", .client = own_, .payload = "hello"};
  }
  const Incarnation& target() const {
    return handler_.descriptor().incarnation;
  }

  const Incarnation own_;
  FakeControlHandler handler_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<ControlClient> client_;
};

TEST_F(ControlClientTest, GetSegment) {
  Start();
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot segment,
                          client_->GetSegment(Soon()));
  EXPECT_EQ(segment.descriptor, handler_.descriptor());
}

TEST_F(ControlClientTest, ReachesAScopedAddress) {
  ControlServerOptions options;
  options.server.address = *SocketAddress::FromIp("::1", 0);
  options.incarnation = target();
  TE_ASSERT_OK_AND_ASSIGN(server_, ControlServer::Create(options, handler_));
  auto client = *ControlClient::Create(
      JoinHostPort("::1%lo", server_->bound_address().port()));
  TE_EXPECT_OK(client->GetSegment(Soon()));
}

TEST_F(ControlClientTest, ReachesAHostByName) {
  Start();
  auto client = *ControlClient::Create(
      JoinHostPort("localhost", server_->bound_address().port()));
  TE_EXPECT_OK(client->GetSegment(Soon()));
}

TEST_F(ControlClientTest, AnUnknownHostIsNamed) {
  auto client = *ControlClient::Create("nonesuch.invalid:1");
  EXPECT_THAT(client->GetSegment(Soon()),
              StatusIs(AnyOf(absl::StatusCode::kNotFound,
                             absl::StatusCode::kUnavailable),
                       HasSubstr("peer nonesuch.invalid:1: ")));
}

TEST_F(ControlClientTest, ThreadsShareAClient) {
  Start();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] { TE_EXPECT_OK(client_->GetSegment(Soon())); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ControlClientTest, HandshakeCarriesBytesBothWays) {
  ControlHandshake hello = Hello();
  hello.payload = std::string("\0\xff", 2);
  handler_.on_handshake = [&](const ControlHandshake& received, MonotonicTime) {
    EXPECT_EQ(received.client, own_);
    EXPECT_EQ(received.transport, "tcp");
    return received.payload + received.payload;
  };
  Start();
  EXPECT_THAT(client_->Handshake(target(), hello, Soon()),
              IsOkAndHolds(hello.payload + hello.payload));
}

TEST_F(ControlClientTest, NotifyCarriesEverything) {
  Start();
  ControlNotification notification{.sender = own_,
                                   .sender_name = "decode-1",
                                   .sequence = 7,
                                   .name = std::string("\0\xff", 2),
                                   .message = "done"};
  TE_ASSERT_OK(client_->Notify(target(), notification, Soon()));
  EXPECT_THAT(handler_.notifications(), ElementsAre(notification));
}

TEST_F(ControlClientTest, AnotherIncarnationIsAStalePeer) {
  Start();
  const Incarnation gone = *Incarnation::Random();
  absl::Status handshake = client_->Handshake(gone, Hello(), Soon()).status();
  EXPECT_TRUE(IsStalePeer(handshake)) << handshake;
  EXPECT_THAT(handshake, StatusIs(absl::StatusCode::kFailedPrecondition,
                                  AllOf(HasSubstr("stale peer:"),
                                        HasSubstr(client_->peer()),
                                        HasSubstr(gone.ToString()),
                                        HasSubstr(target().ToString()))));
  absl::Status notify = client_->Notify(gone,
                                        {.sender = own_,
                                         .sender_name = "a",
                                         .sequence = 1,
                                         .name = "",
                                         .message = ""},
                                        Soon());
  EXPECT_TRUE(IsStalePeer(notify)) << notify;
  EXPECT_THAT(handler_.notifications(), ElementsAre());
}

TEST_F(ControlClientTest, MalformedRequestsAreRefused) {
  Start();
  auto is_invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(client_->Handshake(Incarnation(), Hello(), Soon()), is_invalid);
  ControlHandshake anonymous = Hello();
  anonymous.client = Incarnation();
  EXPECT_THAT(client_->Handshake(target(), anonymous, Soon()), is_invalid);
  for (const std::string& transport : {std::string(), std::string(33, 'a')}) {
    ControlHandshake hello = Hello();
    hello.transport = transport;
    EXPECT_THAT(client_->Handshake(target(), hello, Soon()), is_invalid);
  }
  EXPECT_THAT(client_->Notify(target(), {.sender = own_}, Soon()), is_invalid);
}

TEST_F(ControlClientTest, TextThatIsNotUtf8IsRefusedInSilence) {
  Start();
  ControlHandshake hello = Hello();
  hello.transport = "\xff";
  const ControlNotification notification{
      .sender = own_, .sender_name = "\xff", .sequence = 1};
  auto is_invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  testing::internal::CaptureStderr();
  EXPECT_THAT(client_->Handshake(target(), hello, Soon()), is_invalid);
  EXPECT_THAT(client_->Notify(target(), notification, Soon()), is_invalid);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ControlClientTest, TheHandlersErrorsArrive) {
  handler_.on_handshake = [](const ControlHandshake&, MonotonicTime) {
    return absl::NotFoundError("no transport 'tcp' here");
  };
  Start();
  EXPECT_THAT(client_->Handshake(target(), Hello(), Soon()),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(client_->peer()),
                             HasSubstr("no transport 'tcp' here"))));
}

// Such as that its port is down: then there is nothing wrong with the way to
// it.
TEST_F(ControlClientTest, TheHandlersErrorsAreNotTakenForSilence) {
  handler_.on_handshake = [](const ControlHandshake&, MonotonicTime) {
    return absl::UnavailableError("rxe0 port 1 is DOWN");
  };
  Start();
  EXPECT_THAT(client_->Handshake(target(), Hello(), Soon()),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("peer ", client_->peer(),
                                    ": rxe0 port 1 is DOWN")));
}

TEST_F(ControlClientTest, NobodyThereIsUnavailable) {
  Start();
  server_.reset();
  MonotonicTime deadline = Soon();
  EXPECT_THAT(client_->GetSegment(deadline),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(client_->peer()), Not(HasSubstr("%5B")),
                             HasSubstr("Connection refused"),
                             HasSubstr("check that the process runs"))));
  EXPECT_LT(RealClock().Now(), deadline);
}

TEST_F(ControlClientTest, ARestartedPeerIsFoundAtOnce) {
  Start();
  const uint16_t port = server_->bound_address().port();
  server_.reset();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(client_->GetSegment(Soon()),
                StatusIs(absl::StatusCode::kUnavailable));
  }
  Start({port, port});
  TE_EXPECT_OK(client_->GetSegment(Soon()));
}

TEST_F(ControlClientTest, ASilentPeerCostsNoMoreThanTheDeadline) {
  // It listens, and never answers.
  const SocketAddress any = *SocketAddress::FromIp("127.0.0.1", 0);
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), any.data(), any.length()), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  sockaddr_storage bound;
  socklen_t length = sizeof(bound);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  TE_ASSERT_OK_AND_ASSIGN(
      SocketAddress address,
      SocketAddress::FromSockaddr(reinterpret_cast<const sockaddr*>(&bound),
                                  length));
  auto client = *ControlClient::Create(address.ToString());
  MonotonicTime deadline = RealClock().Now() + std::chrono::milliseconds(50);
  EXPECT_THAT(client->GetSegment(deadline),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr(address.ToString()),
                             HasSubstr("no answer to GetSegment in "),
                             HasSubstr("check that the process"))));
  EXPECT_GE(RealClock().Now(), deadline);
}

TEST_F(ControlClientTest, ASlowHandlerCostsNoMoreThanTheDeadline) {
  Mutex mutex;
  CondVar released;
  bool release = false;
  handler_.on_handshake = [&](const ControlHandshake&, MonotonicTime) {
    MutexLock lock(mutex);
    while (!release) released.WaitUntil(mutex, kNoDeadline);
    return "";
  };
  Start();
  TE_ASSERT_OK(client_->GetSegment(Soon()));
  EXPECT_THAT(
      client_->Handshake(target(), Hello(),
                         RealClock().Now() + std::chrono::milliseconds(50)),
      StatusIs(absl::StatusCode::kDeadlineExceeded,
               HasSubstr(client_->peer())));
  {
    MutexLock lock(mutex);
    release = true;
    released.NotifyAll();
  }
  server_->Shutdown(Soon());  // the handler uses this function's variables
}

TEST_F(ControlClientTest, APassedDeadlineSendsNothing) {
  Start();
  EXPECT_THAT(client_->Notify(target(),
                              {.sender = own_,
                               .sender_name = "a",
                               .sequence = 1,
                               .name = "",
                               .message = ""},
                              RealClock().Now()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(handler_.notifications(), ElementsAre());
}

TEST_F(ControlClientTest, RefusesAddressesWithoutPort) {
  for (const char* peer : {"", "host", "host:0", "host:x", "::1", "a b:1"}) {
    EXPECT_THAT(ControlClient::Create(peer),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << peer;
  }
}

}  // namespace
}  // namespace te
