// Owners that do not answer as they should.
#include "te/transport/shm/peer_link.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/process_resources.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/unix_socket.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr uint32_t kSlots = 4;

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

// Takes one connection, hears its Hello and does `answer`.
using Answer = std::function<void(int socket)>;

class PeerLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(GrantTable grants, GrantTable::Create(kSlots));
    grants_.emplace(std::move(grants));
    TE_ASSERT_OK_AND_ASSIGN(PinTable pins, PinTable::Create(kSlots));
    pins_.emplace(std::move(pins));
    good_ = {.verdict = Verdict::kWelcome,
             .slots = kSlots,
             .token_address = reinterpret_cast<uint64_t>(token_.data()),
             .scratch_address = reinterpret_cast<uint64_t>(scratch_.data())};
  }

  // What comes of it, with the kernel's proof though it is one process.
  absl::Status Connect(const Answer& answer, MonotonicTime deadline) {
    const size_t before = CountOpenDescriptors();
    absl::Status status;
    {
      const std::string name =
          absl::StrCat("te-test-", Incarnation::Random()->ToString());
      TE_ASSIGN_OR_RETURN(const UniqueFd listener, ListenOnName(name));
      TE_ASSIGN_OR_RETURN(Thread owner, Thread::Start({.name = "owner"}, [&] {
                            Serve(listener.get(), answer);
                          }));
      link_.reset();
      auto link = PeerLink::Connect({.direct_within_process = false}, name,
                                    token_, deadline);
      status = link.status();
      if (link.ok()) link_ = *std::move(link);
    }
    // Nothing of a link that has failed is left: not what was sent, either.
    EXPECT_EQ(CountOpenDescriptors() > before, status.ok());
    return status;
  }
  absl::Status Connect(const Answer& answer) { return Connect(answer, Soon()); }
  absl::Status ConnectWith(const Welcome& welcome, std::vector<int> fds) {
    return Connect([welcome, fds](int socket) {
      TE_EXPECT_OK(SendMessage(socket, BytesOf(welcome), fds));
    });
  }
  std::vector<int> Fds() const {
    return {grants_->region().fd(), pins_->region().fd()};
  }

  Token token_ = {std::byte{1}, std::byte{2}};
  Token scratch_ = {};
  std::optional<GrantTable> grants_;
  std::optional<PinTable> pins_;
  Welcome good_;
  std::unique_ptr<PeerLink> link_;

 private:
  void Serve(int listener, const Answer& answer) {
    pollfd polled = {.fd = listener, .events = POLLIN};
    ASSERT_EQ(poll(&polled, 1, 60'000), 1);
    const UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK));
    Hello hello;
    TE_EXPECT_OK(ReceiveMessage(socket.get(), BytesOf(hello), Soon()));
    EXPECT_EQ(hello.token, token_);
    answer(socket.get());
  }
};

TEST_F(PeerLinkTest, AnHonestOwnerIsBelieved) {
  TE_ASSERT_OK(ConnectWith(good_, Fds()));
  EXPECT_NE(link_->process(), nullptr);
  EXPECT_EQ(link_->Describe(), absl::StrCat("process ", getpid()));
  // It has closed the socket by now.
  EXPECT_TRUE(link_->IsGone());
}

TEST_F(PeerLinkTest, VerdictsAreToldApart) {
  const struct {
    Verdict verdict;
    const char* words;
  } cases[] = {{Verdict::kOtherUser, "another user"},
               {Verdict::kStranger, "did not expect"},
               {Verdict::kNoRoom, "max_peers"}};
  for (const auto& c : cases) {
    EXPECT_THAT(ConnectWith({.verdict = c.verdict}, {}),
                StatusIs(StatusCode::kUnavailable, HasSubstr(c.words)));
  }
}

TEST_F(PeerLinkTest, AnswersThatAreNoneAreRefused) {
  const auto expect_none = [&](const Welcome& welcome, std::vector<int> fds) {
    EXPECT_THAT(ConnectWith(welcome, std::move(fds)),
                StatusIs(StatusCode::kDataLoss));
  };
  for (const uint32_t verdict : {0u, 5u, UINT32_MAX}) {
    Welcome welcome = good_;
    welcome.verdict = static_cast<Verdict>(verdict);
    expect_none(welcome, Fds());
  }
  expect_none(good_, {});
  expect_none(good_, {Fds()[0]});
  for (const uint32_t slots : {0u, (1u << 24) + 1, UINT32_MAX}) {
    Welcome welcome = good_;
    welcome.slots = slots;
    expect_none(welcome, Fds());
  }
}

TEST_F(PeerLinkTest, AnswersOfAnotherLengthAreRefused) {
  for (const size_t bytes : {size_t{1}, sizeof(Welcome) - 1}) {
    EXPECT_THAT(Connect([&](int socket) {
                  TE_EXPECT_OK(SendMessage(
                      socket, BytesOf(good_).subspan(0, bytes), Fds()));
                }),
                StatusIs(StatusCode::kDataLoss));
  }
  EXPECT_THAT(Connect([&](int socket) {
                const std::vector<std::byte> longer(sizeof(Welcome) + 1);
                TE_EXPECT_OK(SendMessage(socket, longer, Fds()));
              }),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(PeerLinkTest, TablesOfAnotherSizeAreRefused) {
  for (const uint32_t slots : {1u, kSlots - 1, kSlots + 1, 1u << 24}) {
    Welcome welcome = good_;
    welcome.slots = slots;
    EXPECT_THAT(ConnectWith(welcome, Fds()),
                StatusIs(StatusCode::kInvalidArgument));
  }
  // In the wrong order.
  EXPECT_FALSE(ConnectWith(good_, {Fds()[1], Fds()[0]}).ok());
}

// Else the owner could end this process by SIGBUS.
TEST_F(PeerLinkTest, TablesThatCouldShrinkAreRefused) {
  const UniqueFd unsealed(memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(
      ftruncate(unsealed.get(), static_cast<off_t>(GrantTableBytes(kSlots))),
      0);
  EXPECT_THAT(ConnectWith(good_, {unsealed.get(), Fds()[1]}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("sealed")));
}

TEST_F(PeerLinkTest, AnOwnerWithoutProofIsRefused) {
  Token other = token_;
  other[15] = std::byte{9};
  Welcome welcome = good_;
  welcome.token_address = reinterpret_cast<uint64_t>(other.data());
  EXPECT_THAT(ConnectWith(welcome, Fds()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("handshake")));
  welcome.token_address = 8;
  EXPECT_FALSE(ConnectWith(welcome, Fds()).ok());
}

TEST_F(PeerLinkTest, AnOwnerThatHangsUpIsUnavailable) {
  EXPECT_THAT(Connect([](int socket) { shutdown(socket, SHUT_RDWR); }),
              StatusIs(StatusCode::kUnavailable));
}

TEST_F(PeerLinkTest, AnOwnerThatSaysNothingIsWaitedForUntilTheDeadline) {
  const auto deadline =
      DeadlineAfter(RealClock().Now(), std::chrono::milliseconds(30));
  const auto silent = [](int socket) {
    // Until the peer hangs up.
    pollfd polled = {.fd = socket, .events = POLLIN};
    EXPECT_EQ(poll(&polled, 1, 60'000), 1);
  };
  EXPECT_THAT(Connect(silent, deadline),
              StatusIs(StatusCode::kDeadlineExceeded));
  EXPECT_GE(RealClock().Now(), deadline);
}

}  // namespace
}  // namespace te::shm
