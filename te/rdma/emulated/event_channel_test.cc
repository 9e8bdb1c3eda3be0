#include "te/rdma/emulated/event_channel.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

#include "gtest/gtest.h"

namespace te::rdma::emulated {
namespace {

class EventChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(fcntl(channel_.fd(), F_SETFL,
                    fcntl(channel_.fd(), F_GETFL) | O_NONBLOCK),
              0);
  }
  // The next event, or -1.
  int Get() {
    int event = -1;
    if (channel_.Get(&event) == 0) return event;
    EXPECT_EQ(errno, EAGAIN);
    return -1;
  }
  bool Readable() const {
    pollfd fd = {.fd = channel_.fd(), .events = POLLIN, .revents = 0};
    return poll(&fd, 1, 0) == 1;
  }

  EventChannel<int> channel_;
  const int object_ = 0;
  const int other_ = 0;
};

TEST_F(EventChannelTest, EventsComeInOrder) {
  EXPECT_FALSE(Readable());
  EXPECT_EQ(Get(), -1);
  channel_.Push(nullptr, 1);
  channel_.Push(nullptr, 2);
  EXPECT_TRUE(Readable());
  EXPECT_EQ(Get(), 1);
  EXPECT_TRUE(Readable());
  EXPECT_EQ(Get(), 2);
  EXPECT_FALSE(Readable());
  EXPECT_EQ(Get(), -1);
}

TEST_F(EventChannelTest, RemoveForgetsEventsOfOneObject) {
  channel_.Push(&object_, 1);
  channel_.Push(&other_, 2);
  channel_.Push(&object_, 3);
  EXPECT_TRUE(channel_.Remove(&object_));
  EXPECT_EQ(Get(), 2);
  EXPECT_EQ(Get(), -1);
  EXPECT_FALSE(Readable());
}

TEST_F(EventChannelTest, RemoveNeedsAcknowledgements) {
  channel_.Push(&object_, 1);
  channel_.Push(&object_, 2);
  EXPECT_EQ(Get(), 1);
  EXPECT_EQ(Get(), 2);
  EXPECT_FALSE(channel_.Remove(&object_));
  EXPECT_TRUE(channel_.Remove(&other_));
  channel_.Acknowledge(&object_, 1);
  EXPECT_FALSE(channel_.Remove(&object_));
  channel_.Acknowledge(&object_, 1);
  EXPECT_TRUE(channel_.Remove(&object_));
}

TEST_F(EventChannelTest, EventsOfNoObjectNeedNone) {
  channel_.Push(nullptr, 1);
  EXPECT_EQ(Get(), 1);
  channel_.Acknowledge(nullptr, 1);
}

}  // namespace
}  // namespace te::rdma::emulated
