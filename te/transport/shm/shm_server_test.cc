// Connections as hostile, confused and unlucky processes make them.
#include "te/transport/shm/shm_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/process_resources.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/shm/unix_socket.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr uint32_t kSlots = 16;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }

ShmServer::Client Peer(uint8_t id) {
  return {.incarnation = Incarnation({id}), .rail_id = 1};
}

class ShmServerTest : public testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void TearDown() override {
    if (server_ == nullptr) return;
    // Nothing that was done to it has hurt it, or has left something behind.
    ExpectBaseline();
    ExpectServes(200);
    server_.reset();
  }

  void Start(const ShmOptions& options) {
    options_ = options;
    server_.reset();
    TE_ASSERT_OK_AND_ASSIGN(server_, ShmServer::Create(options, kSlots));
    baseline_ = CountOpenDescriptors();
  }

  // When the tests' own sockets are closed.
  void ExpectBaseline() {
    EXPECT_EQ(AwaitOpenDescriptors(baseline_, Soon()), baseline_);
  }

  Token Promise(uint8_t id) {
    auto token = server_->Promise(Peer(id), Soon());
    TE_EXPECT_OK(token);
    return token.value_or(Token());
  }
  absl::StatusOr<std::unique_ptr<PeerLink>> Link(const Token& token) {
    return PeerLink::Connect(options_, server_->socket_name(), token, Soon());
  }
  void ExpectServes(uint8_t id) { TE_EXPECT_OK(Link(Promise(id))); }

  UniqueFd Connect() {
    auto socket = ConnectToName(server_->socket_name(), Soon());
    TE_EXPECT_OK(socket);
    return socket.ok() ? *std::move(socket) : UniqueFd();
  }
  // Waits until the server has closed the connection, and drops what it said.
  static bool AwaitEnd(const UniqueFd& socket) {
    std::vector<std::byte> buffer(1024);
    for (;;) {
      const auto message =
          ReceiveMessage(socket.get(), absl::MakeSpan(buffer), Soon());
      if (absl::IsUnavailable(message.status())) return true;
      if (!message.ok()) return false;
    }
  }
  static absl::StatusOr<Verdict> ReceiveVerdict(const UniqueFd& socket) {
    Welcome welcome;
    TE_ASSIGN_OR_RETURN(const Message message,
                        ReceiveMessage(socket.get(), BytesOf(welcome), Soon()));
    EXPECT_EQ(message.bytes, sizeof(welcome));
    EXPECT_EQ(message.fds.size(),
              welcome.verdict == Verdict::kWelcome ? 2u : 0u);
    return welcome.verdict;
  }

  ShmOptions options_;
  std::unique_ptr<ShmServer> server_;
  size_t baseline_ = 0;
};

TEST_F(ShmServerTest, WhoSaysTheTokenIsShownTheGrants) {
  std::vector<std::byte> memory(100);
  const GrantKey granted = server_->Grant({.slot = 2,
                                           .address = memory.data(),
                                           .length = 100,
                                           .remote_read = true});
  TE_ASSERT_OK_AND_ASSIGN(const auto link, Link(Promise(1)));
  const std::string key = granted.Serialize();
  Slice slice;
  slice.remote_address = reinterpret_cast<uint64_t>(memory.data());
  slice.length = 100;
  slice.remote_key = key;
  Pinned pinned;
  TE_ASSERT_OK(link->memory().Pin(slice, pinned));
  EXPECT_EQ(pinned.slot, 2u);
  EXPECT_THAT(
      server_->Revoke(2, DeadlineAfter(RealClock().Now(), milliseconds(20))),
      StatusIs(StatusCode::kDeadlineExceeded));
  // Others are not in the way.
  TE_EXPECT_OK(server_->Revoke(3, RealClock().Now()));
  link->memory().Unpin(pinned.slot);
  TE_EXPECT_OK(server_->Revoke(2, Soon()));
  EXPECT_THAT(link->memory().Pin(slice, pinned),
              StatusIs(StatusCode::kNotFound));
  EXPECT_FALSE(link->IsGone());
}

TEST_F(ShmServerTest, GarbageIsClosed) {
  for (const size_t bytes : {1u, 15u, 17u, 24u, 1000u, 60'000u}) {
    const UniqueFd socket = Connect();
    const std::vector<std::byte> garbage(bytes, std::byte{0xa5});
    TE_ASSERT_OK(SendMessage(socket.get(), garbage));
    EXPECT_TRUE(AwaitEnd(socket)) << bytes << " bytes";
  }
  // The end, or a message without bytes.
  const UniqueFd socket = Connect();
  TE_ASSERT_OK(SendMessage(socket.get(), {}));
  EXPECT_TRUE(AwaitEnd(socket));
}

// As little as a token that is a part of a longer message counts one that is
// too short.
TEST_F(ShmServerTest, AHelloOfAnotherLengthIsNone) {
  const Token token = Promise(1);
  std::vector<std::byte> message(token.begin(), token.end());
  message.push_back(std::byte{0});
  const UniqueFd too_long = Connect();
  TE_ASSERT_OK(SendMessage(too_long.get(), message));
  EXPECT_TRUE(AwaitEnd(too_long));
  const UniqueFd too_short = Connect();
  TE_ASSERT_OK(SendMessage(too_short.get(),
                           absl::MakeConstSpan(message).subspan(0, 15)));
  EXPECT_TRUE(AwaitEnd(too_short));
  // The token has not been used up by that.
  TE_EXPECT_OK(Link(token));
}

TEST_F(ShmServerTest, AWrongTokenIsAStrangers) {
  Token token = Promise(1);
  token[15] ^= std::byte{1};
  for (const Token& wrong : {token, Token{}}) {
    const UniqueFd socket = Connect();
    TE_ASSERT_OK(SendMessage(socket.get(), BytesOf(Hello{.token = wrong})));
    EXPECT_THAT(ReceiveVerdict(socket), IsOkAndHolds(Verdict::kStranger));
    EXPECT_TRUE(AwaitEnd(socket));
  }
  EXPECT_THAT(Link(token),
              StatusIs(StatusCode::kUnavailable, HasSubstr("did not expect")));
}

TEST_F(ShmServerTest, ATokenIsForOneConnection) {
  const Token token = Promise(1);
  TE_ASSERT_OK_AND_ASSIGN(const auto link, Link(token));
  EXPECT_THAT(Link(token),
              StatusIs(StatusCode::kUnavailable, HasSubstr("did not expect")));
  EXPECT_FALSE(link->IsGone());
}

TEST_F(ShmServerTest, AnotherPromiseToTheSameClientReplacesTheFirst) {
  const Token first = Promise(1);
  const Token second = Promise(1);
  EXPECT_NE(first, second);
  EXPECT_THAT(Link(first), StatusIs(StatusCode::kUnavailable));
  TE_ASSERT_OK_AND_ASSIGN(const auto link, Link(second));
  TE_ASSERT_OK_AND_ASSIGN(const auto other, Link(Promise(2)));
  // And ends a connection that has come of it.
  const Token third = Promise(1);
  EXPECT_FALSE(link->memory().life().ok());
  EXPECT_TRUE(link->IsGone());
  EXPECT_FALSE(other->IsGone());
  TE_EXPECT_OK(Link(third));
}

TEST_F(ShmServerTest, DescriptorsOfStrangersAreClosed) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const int fds[] = {null.get(), null.get()};
  const UniqueFd garbage = Connect();
  TE_ASSERT_OK(SendMessage(garbage.get(), BytesOf(uint32_t{1}), fds));
  EXPECT_TRUE(AwaitEnd(garbage));
  const UniqueFd polite = Connect();
  TE_ASSERT_OK(
      SendMessage(polite.get(), BytesOf(Hello{.token = Promise(1)}), fds));
  EXPECT_THAT(ReceiveVerdict(polite), IsOkAndHolds(Verdict::kWelcome));
  // Ours: two sockets, and /dev/null. Of the peer: its socket and its pidfd.
  EXPECT_EQ(AwaitOpenDescriptors(baseline_ + 5, Soon()), baseline_ + 5);
}

TEST_F(ShmServerTest, WhoSaysNothingIsClosedInTime) {
  Start({.hello_timeout = milliseconds(50)});
  EXPECT_TRUE(AwaitEnd(Connect()));
  ExpectBaseline();
  // On a busy machine nobody greets this one in time.
  Start({});
}

TEST_F(ShmServerTest, APromiseEndsInTime) {
  Start({.hello_timeout = milliseconds(1)});
  const Token token = Promise(1);
  // Strangers that come later are closed by the same look at the clock.
  EXPECT_TRUE(AwaitEnd(Connect()));
  EXPECT_THAT(Link(token), StatusIs(StatusCode::kUnavailable));
  Start({});
}

TEST_F(ShmServerTest, WhoMisbehavesLaterIsCutOff) {
  const UniqueFd socket = Connect();
  TE_ASSERT_OK(SendMessage(socket.get(), BytesOf(Hello{.token = Promise(1)})));
  EXPECT_THAT(ReceiveVerdict(socket), IsOkAndHolds(Verdict::kWelcome));
  TE_ASSERT_OK(SendMessage(socket.get(), BytesOf(uint32_t{1})));
  EXPECT_TRUE(AwaitEnd(socket));
}

TEST_F(ShmServerTest, ManyStrangersDoNotTakeThePlacesOfPeers) {
  constexpr size_t kStrangers = 256;
  TE_ASSERT_OK_AND_ASSIGN(const auto link, Link(Promise(1)));
  std::vector<UniqueFd> strangers;
  for (size_t i = 0; i < kStrangers; ++i) strangers.push_back(Connect());
  // One more has no place.
  EXPECT_TRUE(AwaitEnd(Connect()));
  EXPECT_FALSE(link->IsGone());
  // As soon as one goes there is room again.
  strangers.pop_back();
  const MonotonicTime deadline = Soon();
  absl::Status status = Link(Promise(2)).status();
  while (!status.ok() && RealClock().Now() < deadline) {
    status = Link(Promise(2)).status();
  }
  TE_EXPECT_OK(status);
}

TEST_F(ShmServerTest, PeersBeyondTheLimitAreToldSo) {
  Start({.max_peers = 2});
  TE_ASSERT_OK_AND_ASSIGN(auto first, Link(Promise(1)));
  TE_ASSERT_OK_AND_ASSIGN(const auto second, Link(Promise(2)));
  EXPECT_THAT(Link(Promise(3)),
              StatusIs(StatusCode::kUnavailable, HasSubstr("max_peers")));
  EXPECT_FALSE(first->IsGone());
  // Its own place is free for a client that connects anew.
  TE_ASSERT_OK_AND_ASSIGN(first, Link(Promise(1)));
  first.reset();
  const MonotonicTime deadline = Soon();
  while (!Link(Promise(3)).ok() && RealClock().Now() < deadline) {
  }
  TE_EXPECT_OK(Link(Promise(3)));
}

TEST_F(ShmServerTest, ConnectionsThatComeAndGoLeaveNothing) {
  for (int i = 0; i < 1000; ++i) {
    const auto id = static_cast<uint8_t>(i % 7);
    switch (i % 4) {
      case 0:
        TE_EXPECT_OK(Link(Promise(id)));
        break;
      case 1:
        Connect();
        break;
      case 2:  // does not wait for the answer
        SendMessage(Connect().get(), BytesOf(Hello{.token = Promise(id)}))
            .IgnoreError();
        break;
      case 3:
        SendMessage(Connect().get(), BytesOf(uint32_t{7})).IgnoreError();
        break;
    }
  }
}

TEST_F(ShmServerTest, DisconnectedPeersCanConnectAgain) {
  TE_ASSERT_OK_AND_ASSIGN(auto link, Link(Promise(1)));
  server_->DisconnectPeers();
  EXPECT_FALSE(link->memory().life().ok());
  EXPECT_TRUE(link->IsGone());
  TE_ASSERT_OK_AND_ASSIGN(link, Link(Promise(1)));
  EXPECT_FALSE(link->IsGone());
}

TEST_F(ShmServerTest, PeersSeeTheEndOfTheServer) {
  TE_ASSERT_OK_AND_ASSIGN(const auto link, Link(Promise(1)));
  const std::string name = server_->socket_name();
  const Token token = Promise(2);
  server_.reset();
  EXPECT_TRUE(link->IsGone());
  EXPECT_THAT(PeerLink::Connect(options_, name, token, Soon()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("ended")));
}

// Who forks without exec hands copies of all descriptors to a child that knows
// nothing of them, as Python's multiprocessing does.
class ForkedChild {
 public:
  ForkedChild() : pid_(fork()) {
    if (pid_ == 0) {
      for (;;) pause();
    }
  }
  ~ForkedChild() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  const pid_t pid_;
};

TEST_F(ShmServerTest, TheEndOfAConnectionDoesNotWaitForForkedChildren) {
  Start({.max_peers = 1});
  TE_ASSERT_OK_AND_ASSIGN(auto link, Link(Promise(1)));
  const ForkedChild child;
  // The owner's end.
  server_->DisconnectPeers();
  EXPECT_TRUE(link->IsGone());
  // The peer's.
  TE_ASSERT_OK_AND_ASSIGN(link, Link(Promise(1)));
  const ForkedChild another;
  link.reset();
  const MonotonicTime deadline = Soon();
  while (!Link(Promise(2)).ok() && RealClock().Now() < deadline) {
  }
  TE_EXPECT_OK(Link(Promise(2)));
}

TEST_F(ShmServerTest, ForkedChildrenDoNotKeepAServerAlive) {
  const std::string name = server_->socket_name();
  const Token token = Promise(1);
  const ForkedChild child;
  server_.reset();
  EXPECT_THAT(PeerLink::Connect(options_, name, token, Soon()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("ended")));
}

}  // namespace
}  // namespace te::shm
