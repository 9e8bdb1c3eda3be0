// Leaving slices to the loop; all else is in the conformance suite.
#include "te/transport/tcp/client_stream.h"

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/io_loop.h"

namespace te::tcp {
namespace {

class ClientStreamTest : public testing::Test {
 protected:
  ClientStreamTest() : loop_(*IoLoop::Create("test", Duration::zero())) {
    int fds[2];
    PCHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    peer_ = UniqueFd(fds[1]);
    stream_ = std::make_shared<ClientStream>(
        ClientStream::Options{.self = Incarnation({1}),
                              .peer = Incarnation({2}),
                              .name = "test",
                              .window_bytes = 1 << 20},
        UniqueFd(fds[0]), loop_, [](const absl::Status&) {});
    for (uint32_t i = 0; i < slices_.size(); ++i) {
      slices_[i].operation = Operation::kWrite;
      slices_[i].request = i;
      slices_[i].local = memory_.data();
      slices_[i].length = memory_.size();
      slices_[i].sink = &sink_;
      pointers_[i] = &slices_[i];
    }
    TE_EXPECT_OK(stream_->Start());
  }
  ~ClientStreamTest() override { stream_->Close(absl::CancelledError("end")); }

  const std::shared_ptr<IoLoop> loop_;
  UniqueFd peer_;
  std::shared_ptr<ClientStream> stream_;
  std::array<std::byte, 100> memory_ = {};
  std::array<Slice, 3> slices_;
  std::array<Slice*, 3> pointers_;
  RecordingSink sink_{3};
};

TEST_F(ClientStreamTest, TheLoopSendsWhatIsLeftToIt) {
  stream_->Leave(pointers_);
  std::array<std::byte, kHeaderBytes + 3 * kEntryBytes + 300> frame;
  EXPECT_EQ(recv(peer_.get(), frame.data(), frame.size(), MSG_WAITALL),
            static_cast<ssize_t>(frame.size()));
}

TEST_F(ClientStreamTest, WhatIsLeftToAClosedStreamComesBack) {
  stream_->Close(absl::UnavailableError("closed"));
  stream_->Leave(pointers_);
  ASSERT_EQ(sink_.done(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(*sink_.outcome(i), StatusIs(absl::StatusCode::kUnavailable));
  }
}

}  // namespace
}  // namespace te::tcp
