#include "te/transport/shm/unix_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}
// Which has passed when somebody looks.
MonotonicTime Now() { return RealClock().Now(); }

std::string NewName() {
  return absl::StrCat("te-test-", Incarnation::Random()->ToString());
}

absl::Span<const std::byte> Bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

struct Pair {
  UniqueFd listener;
  UniqueFd client;
  UniqueFd server;
};

UniqueFd Accept(int listener) {
  pollfd polled = {.fd = listener, .events = POLLIN};
  EXPECT_EQ(poll(&polled, 1, 60'000), 1);
  UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK));
  EXPECT_TRUE(socket.valid());
  return socket;
}

Pair Connected() {
  const std::string name = NewName();
  Pair pair;
  auto listener = ListenOnName(name);
  TE_EXPECT_OK(listener);
  if (!listener.ok()) return pair;
  pair.listener = *std::move(listener);
  auto client = ConnectToName(name, Soon());
  TE_EXPECT_OK(client);
  if (!client.ok()) return pair;
  pair.client = *std::move(client);
  pair.server = Accept(pair.listener.get());
  return pair;
}

// As a hostile peer would: any number of descriptors.
void SendWithFds(int socket, const std::string& text, size_t fds) {
  const std::vector<int> numbers(fds, socket);
  std::vector<char> control(CMSG_SPACE(fds * sizeof(int)));
  iovec part = {.iov_base = const_cast<char*>(text.data()),
                .iov_len = text.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds * sizeof(int));
  memcpy(CMSG_DATA(header), numbers.data(), fds * sizeof(int));
  ASSERT_EQ(sendmsg(socket, &message, MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

TEST(UnixSocketTest, MessagesAreKeptApart) {
  const Pair pair = Connected();
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("one")));
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("seven")));
  std::array<std::byte, 64> buffer;
  for (const std::string text : {"one", "seven"}) {
    TE_ASSERT_OK_AND_ASSIGN(
        const Message message,
        ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()));
    ASSERT_EQ(message.bytes, text.size());
    EXPECT_EQ(memcmp(buffer.data(), text.data(), text.size()), 0);
    EXPECT_TRUE(message.fds.empty());
  }
}

TEST(UnixSocketTest, DescriptorsArriveInOrderAndWillNotBeInherited) {
  const Pair pair = Connected();
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  TE_ASSERT_OK(SendMessage(pair.server.get(), Bytes("x"), pipe_ends));
  std::array<std::byte, 1> buffer;
  TE_ASSERT_OK_AND_ASSIGN(
      const Message message,
      ReceiveMessage(pair.client.get(), absl::MakeSpan(buffer), Soon()));
  ASSERT_EQ(message.fds.size(), 2u);
  for (const UniqueFd& fd : message.fds) {
    EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  }
  const char sent = 'y';
  ASSERT_EQ(write(message.fds[1].get(), &sent, 1), 1);
  char received = 0;
  ASSERT_EQ(read(read_end.get(), &received, 1), 1);
  EXPECT_EQ(received, 'y');
}

TEST(UnixSocketTest, AMessageThatIsTooLongIsRefused) {
  const Pair pair = Connected();
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("12345")));
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("1234")));
  std::array<std::byte, 4> buffer;
  EXPECT_THAT(ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("too long")));
  // The rest of it does not become a message.
  TE_ASSERT_OK_AND_ASSIGN(
      const Message next,
      ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()));
  EXPECT_EQ(next.bytes, 4u);
}

TEST(UnixSocketTest, DescriptorsOfARefusedMessageAreClosed) {
  const Pair pair = Connected();
  std::array<std::byte, 4> buffer;
  const size_t baseline = CountOpenDescriptors();
  for (const size_t fds : {1u, 2u, 3u, 4u, 16u, 253u}) {
    for (const std::string text : {"1234", "12345"}) {
      SendWithFds(pair.client.get(), text, fds);
      const absl::StatusOr<Message> message =
          ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon());
      if (fds <= 2 && text.size() <= buffer.size()) {
        TE_ASSERT_OK(message);
        EXPECT_EQ(message->fds.size(), fds);
        EXPECT_EQ(CountOpenDescriptors(), baseline + fds);
      } else {
        EXPECT_THAT(message, StatusIs(StatusCode::kInvalidArgument))
            << fds << " descriptors";
        EXPECT_EQ(CountOpenDescriptors(), baseline);
      }
    }
  }
  EXPECT_EQ(CountOpenDescriptors(), baseline);
}

TEST(UnixSocketTest, WhatWasSentBeforeTheEndArrives) {
  Pair pair = Connected();
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("last")));
  pair.client.reset();
  std::array<std::byte, 8> buffer;
  TE_ASSERT_OK_AND_ASSIGN(
      const Message message,
      ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()));
  EXPECT_EQ(message.bytes, 4u);
  EXPECT_THAT(ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()),
              StatusIs(StatusCode::kUnavailable));
  // No SIGPIPE.
  EXPECT_THAT(SendMessage(pair.server.get(), Bytes("x")),
              StatusIs(StatusCode::kUnavailable));
}

// A message without bytes looks as the end does, and is treated as that.
TEST(UnixSocketTest, AnEmptyMessageKeepsNoDescriptors) {
  const Pair pair = Connected();
  const size_t baseline = CountOpenDescriptors();
  SendWithFds(pair.client.get(), "", 2);
  std::array<std::byte, 8> buffer;
  EXPECT_THAT(ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), Soon()),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(CountOpenDescriptors(), baseline);
}

TEST(UnixSocketTest, SilenceEndsByTheDeadline) {
  const Pair pair = Connected();
  std::array<std::byte, 8> buffer;
  for (const Duration patience :
       {Duration(0), Duration(1), Duration(std::chrono::milliseconds(30))}) {
    const MonotonicTime deadline = DeadlineAfter(Now(), patience);
    EXPECT_THAT(
        ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer), deadline),
        StatusIs(StatusCode::kDeadlineExceeded));
    EXPECT_GE(Now(), deadline);
  }
  // What is there is received, however late it is.
  TE_ASSERT_OK(SendMessage(pair.client.get(), Bytes("x")));
  TE_EXPECT_OK(ReceiveMessage(pair.server.get(), absl::MakeSpan(buffer),
                              MonotonicTime()));
}

TEST(UnixSocketTest, WhoDoesNotReceiveDoesNotBlockTheSender) {
  const Pair pair = Connected();
  const std::string text(4096, 'x');
  absl::Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) {
    status = SendMessage(pair.client.get(), Bytes(text));
  }
  EXPECT_THAT(status, StatusIs(StatusCode::kResourceExhausted));
}

TEST(UnixSocketTest, ANameThatNobodyListensOnIsNotFound) {
  EXPECT_THAT(ConnectToName(NewName(), Soon()),
              StatusIs(StatusCode::kNotFound));
  const std::string name = NewName();
  {
    TE_ASSERT_OK_AND_ASSIGN(const UniqueFd listener, ListenOnName(name));
    TE_EXPECT_OK(ConnectToName(name, Soon()));
  }
  EXPECT_THAT(ConnectToName(name, Soon()), StatusIs(StatusCode::kNotFound));
}

TEST(UnixSocketTest, ANameIsOneListenersOnly) {
  const std::string name = NewName();
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd first, ListenOnName(name));
  EXPECT_FALSE(ListenOnName(name).ok());
}

TEST(UnixSocketTest, NamesMayBeLong) {
  std::string name = NewName();
  name.resize(100, 'x');
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd listener, ListenOnName(name));
  TE_EXPECT_OK(ConnectToName(name, Soon()));
  EXPECT_THAT(ConnectToName(name.substr(0, 99), Soon()),
              StatusIs(StatusCode::kNotFound));
}

TEST(UnixSocketTest, AFullBacklogIsWaitedForUntilTheDeadline) {
  const std::string name = NewName();
  TE_ASSERT_OK_AND_ASSIGN(const UniqueFd listener, ListenOnName(name));
  std::vector<UniqueFd> waiting;
  for (;;) {
    absl::StatusOr<UniqueFd> socket = ConnectToName(name, Now());
    if (!socket.ok()) {
      ASSERT_THAT(socket, StatusIs(StatusCode::kDeadlineExceeded));
      break;
    }
    waiting.push_back(*std::move(socket));
    ASSERT_LT(waiting.size(), 10'000u);
  }
  const UniqueFd accepted = Accept(listener.get());
  TE_EXPECT_OK(ConnectToName(name, Soon()));
}

TEST(UnixSocketTest, TheKernelNamesBothEnds) {
  const Pair pair = Connected();
  for (const int socket : {pair.client.get(), pair.server.get()}) {
    TE_ASSERT_OK_AND_ASSIGN(const PeerCredentials credentials,
                            CredentialsOf(socket));
    EXPECT_EQ(credentials.pid, getpid());
    EXPECT_EQ(credentials.uid, geteuid());
  }
}

}  // namespace
}  // namespace te::shm
