#include "te/transport/tcp/frame_writer.h"

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/frame.h"

namespace te::tcp {
namespace {

const Incarnation kTarget({1, 2, 3});

// Frames that a test has laid out.
class ScriptedSource final : public FrameWriter::Source {
 public:
  void Add(std::function<void(OutgoingFrame&)> make) {
    frames_.push_back(std::move(make));
  }
  bool NextFrame(OutgoingFrame& frame) override {
    if (frames_.empty()) return false;
    frame.Begin(FrameKind::kResponses, kTarget);
    frames_.front()(frame);
    frame.End();
    frames_.pop_front();
    return true;
  }
  void OnSent() override { ++sent; }

  int sent = 0;

 private:
  std::deque<std::function<void(OutgoingFrame&)>> frames_;
};

class FrameWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    ours_ = UniqueFd(fds[0]);
    theirs_ = UniqueFd(fds[1]);
    const int bytes = 1;  // the kernel makes it the least it can
    ASSERT_EQ(
        setsockopt(ours_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)),
        0);
  }

  // Writes and reads in turn until all has come through.
  std::vector<std::byte> Transport(ScriptedSource& source) {
    std::vector<std::byte> received;
    bool blocked = true;
    while (blocked) {
      blocked = false;
      bool moved = false;
      TE_EXPECT_OK(writer_.Write(ours_.get(), source, moved, blocked));
      EXPECT_EQ(writer_.in_frame(), blocked);
      std::array<std::byte, 1000> some;
      ssize_t got;
      while ((got = recv(theirs_.get(), some.data(), some.size(), 0)) > 0) {
        received.insert(received.end(), some.begin(), some.begin() + got);
      }
    }
    return received;
  }

  UniqueFd ours_;
  UniqueFd theirs_;
  FrameWriter writer_;
};

TEST_F(FrameWriterTest, SendsFramesThroughATinySocket) {
  std::vector<std::byte> payload(100'000);
  for (size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<std::byte>(i * 31 >> 3);
  }
  ScriptedSource source;
  for (int i = 0; i < 3; ++i) {
    source.Add([&](OutgoingFrame& frame) {
      frame.AddEntry(ResponseEntry{.id = 1, .length = 60'000});
      frame.AddPayload(payload.data(), 60'000);
      frame.AddEntry(ResponseEntry{.id = 2, .length = 40'000});
      frame.AddPayload(payload.data() + 60'000, 40'000);
    });
  }
  const auto received = Transport(source);
  EXPECT_EQ(source.sent, 3);
  constexpr size_t kControl = kHeaderBytes + 2 * kEntryBytes;
  ASSERT_EQ(received.size(), 3 * (kControl + payload.size()));
  for (int i = 0; i < 3; ++i) {
    const std::byte* frame = received.data() + i * (kControl + payload.size());
    TE_ASSERT_OK_AND_ASSIGN(const FrameHeader header, DecodeHeader(frame));
    EXPECT_EQ(header.entries, 2);
    EXPECT_EQ(header.payload_bytes, payload.size());
    EXPECT_EQ(header.target, kTarget);
    EXPECT_EQ(std::vector<std::byte>(frame + kControl,
                                     frame + kControl + payload.size()),
              payload);
  }
}

// Of an error without a text, for example: the writer once sent it for ever.
TEST_F(FrameWriterTest, EmptyPayloadEnds) {
  std::array<std::byte, 5> payload = {};
  ScriptedSource source;
  source.Add([&](OutgoingFrame& frame) {
    frame.AddEntry(ResponseEntry{.code = absl::StatusCode::kInternal});
    frame.AddPayload(payload.data(), 0);
    frame.AddEntry(ResponseEntry{.length = 5});
    frame.AddPayload(payload.data(), 5);
    frame.AddEntry(ResponseEntry{.code = absl::StatusCode::kInternal});
    frame.AddPayload(payload.data(), 0);
  });
  EXPECT_EQ(Transport(source).size(), kHeaderBytes + 3 * kEntryBytes + 5);
  EXPECT_EQ(source.sent, 1);
}

// Or its owner would wait for room in the socket, find some, have nothing to
// send, and so on.
TEST_F(FrameWriterTest, IsBlockedByItsBudgetOnlyWhenThereIsMore) {
  FrameWriter writer(/*budget=*/1);
  ScriptedSource source;
  for (int i = 0; i < 2; ++i) {
    source.Add([](OutgoingFrame& frame) { frame.AddEntry(HelloEntry{}); });
  }
  bool moved = false;
  bool blocked = false;
  TE_ASSERT_OK(writer.Write(ours_.get(), source, moved, blocked));
  EXPECT_EQ(source.sent, 1);
  EXPECT_TRUE(blocked);
  blocked = false;
  TE_ASSERT_OK(writer.Write(ours_.get(), source, moved, blocked));
  EXPECT_EQ(source.sent, 2);
  EXPECT_FALSE(blocked);
}

TEST_F(FrameWriterTest, AClosedPeerIsUnavailable) {
  theirs_.reset();
  ScriptedSource source;
  source.Add([](OutgoingFrame& frame) { frame.AddEntry(HelloEntry{}); });
  bool moved = false;
  bool blocked = false;
  EXPECT_THAT(writer_.Write(ours_.get(), source, moved, blocked),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(moved);
}

}  // namespace
}  // namespace te::tcp
