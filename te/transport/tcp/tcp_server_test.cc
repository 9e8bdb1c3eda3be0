// The target's side against clients that do not keep to the protocol, over raw
// sockets.
#include "te/transport/tcp/tcp_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_io.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/tcp/slice_window.h"
#include "te/transport/tcp/socket.h"
#include "te/transport/tcp/tcp_options.h"
#include "te/transport/test_memory.h"

namespace te::tcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Incarnation kServer({1});
const Incarnation kClient({2});

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }

class TcpServerTest : public testing::Test {
 protected:
  void SetUp() override { Start({}); }
  void Start(const TcpOptions& options) {
    server_.reset();
    loops_.clear();
    TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<IoLoop> loop,
                            IoLoop::Create("test", Duration::zero()));
    loops_.push_back(std::move(loop));
    TE_ASSERT_OK_AND_ASSIGN(
        server_, TcpServer::Create(options, kServer, memory_, loops_));
    generation_ =
        memory_.Add(absl::MakeSpan(bytes_), TestMemory::Rights::kBoth);
  }
  void TearDown() override {
    server_.reset();
    EXPECT_EQ(memory_.pins(), 0);
  }

  Incarnation OpenSession(uint32_t streams = 1) {
    auto session = server_->OpenSession(kClient, ++rail_, streams);
    TE_EXPECT_OK(session);
    return session.value_or(Incarnation());
  }
  UniqueFd Dial() {
    auto fd = Connect(server_->address(), {}, Soon());
    TE_EXPECT_OK(fd);
    return fd.ok() ? *std::move(fd) : UniqueFd();
  }
  template <typename Entry>
  static std::vector<std::byte> Frame(FrameHeader header,
                                      const std::vector<Entry>& entries) {
    header.entries = static_cast<uint16_t>(entries.size());
    std::vector<std::byte> bytes(kHeaderBytes + entries.size() * kEntryBytes);
    Encode(header, bytes.data());
    for (size_t i = 0; i < entries.size(); ++i) {
      Encode(entries[i], bytes.data() + kHeaderBytes + i * kEntryBytes);
    }
    return bytes;
  }
  static std::vector<std::byte> Hello(const Incarnation& session,
                                      const Incarnation& target = kServer) {
    return Frame({.kind = FrameKind::kHello, .target = target},
                 std::vector<HelloEntry>{{.session = session}});
  }
  // A frame of READs with these ids.
  std::vector<std::byte> Reads(const std::vector<uint32_t>& ids,
                               const Incarnation& target = kServer) {
    std::vector<RequestEntry> entries;
    for (const uint32_t id : ids) {
      entries.push_back({.id = id,
                         .length = 1000,
                         .address = reinterpret_cast<uint64_t>(bytes_.data()),
                         .generation = generation_});
    }
    return Frame({.kind = FrameKind::kRequests, .target = target}, entries);
  }
  static void Send(const UniqueFd& fd, const std::vector<std::byte>& bytes) {
    // The server may have hung up already.
    SendAll(fd.get(), bytes, Soon()).IgnoreError();
  }
  static bool IsWelcomed(const UniqueFd& fd) {
    std::array<std::byte, kFrameStartBytes> answer;
    return ReceiveAll(fd.get(), absl::MakeSpan(answer), Soon()).ok() &&
           DecodeHeader(answer.data()).value().kind == FrameKind::kWelcome;
  }
  UniqueFd Join() {
    UniqueFd fd = Dial();
    Send(fd, Hello(OpenSession()));
    EXPECT_TRUE(IsWelcomed(fd));
    return fd;
  }
  // Reads until the server hangs up.
  static void ExpectHangUp(const UniqueFd& fd) {
    std::vector<std::byte> some(100'000);
    for (;;) {
      pollfd poller = {.fd = fd.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(poll(&poller, 1, 60'000), 1) << "still connected";
      if (recv(fd.get(), some.data(), some.size(), 0) <= 0) return;
    }
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(1000);
  TestMemory memory_;
  uint64_t generation_ = 0;
  uint64_t rail_ = 0;
  std::vector<std::shared_ptr<IoLoop>> loops_;
  std::unique_ptr<TcpServer> server_;
};

TEST_F(TcpServerTest, WelcomesWhoNamesItsSession) { Join(); }

TEST_F(TcpServerTest, HangsUpOnStrangers) {
  const Incarnation session = OpenSession();
  for (const auto& bytes :
       {Hello(Incarnation({7})), Hello(Incarnation()),
        Hello(session, Incarnation({7})), Reads({0}),
        Frame({.kind = FrameKind::kWelcome, .target = kServer},
              std::vector<HelloEntry>{{.session = session}}),
        Frame(
            {.kind = FrameKind::kHello, .payload_bytes = 1, .target = kServer},
            std::vector<HelloEntry>{{.session = session}}),
        Frame({.kind = FrameKind::kHello, .target = kServer},
              std::vector<HelloEntry>(2, {.session = session}))}) {
    const UniqueFd fd = Dial();
    Send(fd, bytes);
    ExpectHangUp(fd);
  }
  // None of them took the place of the right one.
  const UniqueFd fd = Dial();
  Send(fd, Hello(session));
  EXPECT_TRUE(IsWelcomed(fd));
}

TEST_F(TcpServerTest, HangsUpOnMoreStreamsThanAnnounced) {
  const Incarnation session = OpenSession(2);
  const UniqueFd first = Dial();
  const UniqueFd second = Dial();
  const UniqueFd third = Dial();
  Send(first, Hello(session));
  Send(second, Hello(session));
  EXPECT_TRUE(IsWelcomed(first) && IsWelcomed(second));
  Send(third, Hello(session));
  ExpectHangUp(third);
}

TEST_F(TcpServerTest, HangsUpOnWhoStaysSilent) {
  Start({.hello_timeout = milliseconds(1)});
  const UniqueFd silent = Dial();
  const UniqueFd half = Dial();
  auto bytes = Hello(Incarnation({7}));
  bytes.resize(40);
  Send(half, bytes);
  ExpectHangUp(silent);
  ExpectHangUp(half);
}

TEST_F(TcpServerTest, ForgetsSessionsThatNobodyCameFor) {
  Start({.hello_timeout = milliseconds(1), .max_inbound_streams = 1});
  OpenSession();
  absl::Status status;
  const MonotonicTime deadline = Soon();
  do {
    status = server_->OpenSession(kClient, ++rail_, 1).status();
  } while (absl::IsResourceExhausted(status) && RealClock().Now() < deadline);
  TE_EXPECT_OK(status);
}

TEST_F(TcpServerTest, HangsUpOnSessionsThatStayIncomplete) {
  Start({.hello_timeout = milliseconds(1)});
  UniqueFd fd;
  do {
    // Again if this thread was too slow.
    fd = Dial();
    Send(fd, Hello(OpenSession(2)));
  } while (!IsWelcomed(fd));
  ExpectHangUp(fd);
}

TEST_F(TcpServerTest, PromisesDoNotKeepOthersOut) {
  for (int i = 0; i < 1000; ++i) OpenSession(64);
  Join();
}

TEST_F(TcpServerTest, HangsUpOnWrongRequests) {
  auto no_request = Reads({0});
  no_request[5] = std::byte{static_cast<uint8_t>(FrameKind::kResponses)};
  for (const auto& bytes :
       {Reads({1}), Reads({0, 2}), Reads({0, 0}), Reads({0}, Incarnation({7})),
        no_request, std::vector<std::byte>(64, std::byte{0x5a})}) {
    const UniqueFd fd = Join();
    Send(fd, bytes);
    ExpectHangUp(fd);
    EXPECT_TRUE(memory_.AwaitPins(0, Soon()));
  }
}

// Entries that pretend to more data than the frame has, for memory that is not
// there: room for all of it was once made before anybody counted.
TEST_F(TcpServerTest, HangsUpOnEntriesWithMoreDataThanTheirFrame) {
  const UniqueFd fd = Join();
  std::vector<RequestEntry> writes(kMaxEntries);
  for (size_t i = 0; i < writes.size(); ++i) {
    writes[i] = {.id = static_cast<uint32_t>(i),
                 .operation = Operation::kWrite,
                 .length = kMaxSliceBytes};
  }
  Send(fd, Frame({.kind = FrameKind::kRequests,
                  .payload_bytes = kMaxPayloadBytes,
                  .target = kServer},
                 writes));
  ExpectHangUp(fd);
}

TEST_F(TcpServerTest, EndsWhileItsClientsHangUp) {
  for (int round = 0; round < 100; ++round) {
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(Join());
    clients.clear();
    Start({});
  }
}

// A client that takes no answers, and asks on and on.
TEST_F(TcpServerTest, BoundsWhatWaitsToBeSent) {
  const UniqueFd fd = Join();
  uint32_t id = 0;
  constexpr size_t kMost = 100 * SliceWindow::kSlots;
  while (id < kMost) {
    std::vector<uint32_t> ids;
    while (ids.size() < kMaxEntries) ids.push_back(id++);
    if (!SendAll(fd.get(), Reads(ids), Soon()).ok()) break;
    EXPECT_LE(memory_.pins(), static_cast<int>(SliceWindow::kSlots));
  }
  EXPECT_LT(id, kMost) << "the server took them all";
  EXPECT_TRUE(memory_.AwaitPins(0, Soon()));
}

TEST_F(TcpServerTest, ANewSessionOfTheRailEndsTheOneBefore) {
  const Incarnation session = *server_->OpenSession(kClient, 99, 1);
  const UniqueFd fd = Dial();
  Send(fd, Hello(session));
  EXPECT_TRUE(IsWelcomed(fd));
  // Half a WRITE, which pins the memory.
  const RequestEntry write = {
      .operation = Operation::kWrite,
      .length = 1000,
      .address = reinterpret_cast<uint64_t>(bytes_.data()),
      .generation = generation_};
  Send(fd, Frame({.kind = FrameKind::kRequests,
                  .payload_bytes = 1000,
                  .target = kServer},
                 std::vector<RequestEntry>{write}));
  ASSERT_TRUE(memory_.AwaitPins(1, Soon()));
  TE_EXPECT_OK(server_->OpenSession(kClient, 99, 1));
  EXPECT_EQ(memory_.pins(), 0);
  ExpectHangUp(fd);
  const UniqueFd late = Dial();
  Send(late, Hello(session));
  ExpectHangUp(late);
}

TEST_F(TcpServerTest, BoundsStreams) {
  Start({.max_inbound_streams = 3});
  OpenSession(2);
  EXPECT_THAT(server_->OpenSession(kClient, 100, 2),
              StatusIs(absl::StatusCode::kResourceExhausted));
  OpenSession(1);
}

}  // namespace
}  // namespace te::tcp
