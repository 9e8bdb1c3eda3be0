// Asynchronous events, and what changes along with them.

#include <fcntl.h>
#include <infiniband/verbs.h>
#include <poll.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

using testing::IsEmpty;

class EmulatedEvent : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }
  bool Readable() const {
    pollfd fd = {.fd = a_.context->async_fd, .events = POLLIN, .revents = 0};
    return poll(&fd, 1, 0) == 1;
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedEvent, PortGoesDownAndUp) {
  EXPECT_FALSE(Readable());
  net_.device_a.SetPortActive(1, false);
  EXPECT_TRUE(Readable());
  ibv_async_event event;
  ASSERT_EQ(a_.verbs->GetAsyncEvent(a_.context, &event), 0);
  EXPECT_EQ(event.event_type, IBV_EVENT_PORT_ERR);
  EXPECT_EQ(event.element.port_num, 1);
  a_.verbs->AckAsyncEvent(&event);
  EXPECT_FALSE(Readable());
  ibv_port_attr port;
  ASSERT_EQ(a_.verbs->QueryPort(a_.context, 1, &port), 0);
  EXPECT_EQ(port.state, IBV_PORT_DOWN);

  net_.device_a.SetPortActive(1, true);
  net_.device_a.SetPortActive(1, true);  // no change, no event
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_PORT_ACTIVE);
  EXPECT_EQ(NextEvent(a_), -1);
  ASSERT_EQ(a_.verbs->QueryPort(a_.context, 1, &port), 0);
  EXPECT_EQ(port.state, IBV_PORT_ACTIVE);
  EXPECT_EQ(NextEvent(b_), -1);
}

TEST_F(EmulatedEvent, AllContextsHearOfTheirPorts) {
  TestEnd other(net_.fabric.VerbsOf("a"));
  net_.device_a.SetPortActive(1, false);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_PORT_ERR);
  EXPECT_EQ(NextEvent(other), IBV_EVENT_PORT_ERR);
}

TEST_F(EmulatedEvent, WhileAPortIsDownNothingPasses) {
  net_.device_b.SetPortActive(1, false);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
  EXPECT_EQ(b_.State(), IBV_QPS_RTS);
}

TEST_F(EmulatedEvent, RequestsResumeWithTheNextRetry) {
  net_.device_a.SetPortActive(1, false);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  net_.Advance(std::chrono::nanoseconds(4096LL << 14));
  net_.device_a.SetPortActive(1, true);
  net_.Advance(std::chrono::nanoseconds(4096LL << 14));
  const std::vector<ibv_wc> completions = a_.Poll();
  ASSERT_EQ(completions.size(), 2u);
  EXPECT_EQ(completions[0].status, IBV_WC_SUCCESS);
  EXPECT_EQ(completions[1].status, IBV_WC_SUCCESS);
}

TEST_F(EmulatedEvent, ChangedGidsLoseTheConnection) {
  EmulatedGid gid = {3, GidOfIpv4({10, 0, 0, 77}), IBV_GID_TYPE_ROCE_V2, 2};
  net_.device_b.SetGid(1, gid);
  EXPECT_EQ(NextEvent(b_), IBV_EVENT_GID_CHANGE);
  ibv_gid_entry gids[8];
  ASSERT_EQ(b_.verbs->QueryGidTable(b_.context, gids, 8), 4);
  EXPECT_EQ(gids[3].gid.raw[15], 77);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
}

TEST_F(EmulatedEvent, RemovedAndAddedGids) {
  net_.device_a.RemoveGid(1, 1);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_GID_CHANGE);
  ibv_gid_entry gids[8];
  ASSERT_EQ(a_.verbs->QueryGidTable(a_.context, gids, 8), 3);
  EXPECT_EQ(gids[1].gid_index, 2u);
  net_.device_a.SetGid(1,
                       {1, GidOfIpv4({10, 0, 0, 5}), IBV_GID_TYPE_ROCE_V2, 2});
  ASSERT_EQ(a_.verbs->QueryGidTable(a_.context, gids, 8), 4);
  EXPECT_EQ(gids[1].gid_index, 1u);
  // The source of the connection goes.
  net_.device_a.RemoveGid(1, 3);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_RETRY_EXC_ERR);
}

TEST(EmulatedEventInfiniBand, LidChangeLosesTheConnection) {
  TestNet net({.mode = WireMode::kStepped}, InfiniBandDevice("mlx5_0", 17),
              InfiniBandDevice("mlx5_0", 18));
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  ASSERT_EQ(a.Connect(b), 0);
  ASSERT_EQ(b.Connect(a), 0);
  net.device_b.SetLid(1, 19);
  EXPECT_EQ(NextEvent(b), IBV_EVENT_LID_CHANGE);
  ibv_port_attr port;
  ASSERT_EQ(b.verbs->QueryPort(b.context, 1, &port), 0);
  EXPECT_EQ(port.lid, 19);
  ASSERT_EQ(a.PostWrite(1, b), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_RETRY_EXC_ERR);
}

TEST_F(EmulatedEvent, AQueuePairFailsByItself) {
  ASSERT_EQ(a_.PostRecv(1), 0);
  net_.device_a.FailQp(a_.qp->qp_num);
  ibv_async_event event;
  ASSERT_EQ(a_.verbs->GetAsyncEvent(a_.context, &event), 0);
  EXPECT_EQ(event.event_type, IBV_EVENT_QP_FATAL);
  EXPECT_EQ(event.element.qp, a_.qp);
  EXPECT_EQ(a_.Poll().size(), 1u);
  EXPECT_EQ(a_.State(), IBV_QPS_ERR);
  // The event keeps the queue pair.
  EXPECT_EQ(a_.verbs->DestroyQp(a_.qp), EBUSY);
  a_.verbs->AckAsyncEvent(&event);
  EXPECT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
}

TEST_F(EmulatedEvent, DestroyingWaitsForAnAcknowledgementUnderWay) {
  net_.device_a.FailQp(a_.qp->qp_num);
  ibv_async_event event;
  ASSERT_EQ(a_.verbs->GetAsyncEvent(a_.context, &event), 0);
  std::atomic<bool> gone = false;
  absl::StatusOr<Thread> destroyer = Thread::Start({.name = "destroyer"}, [&] {
    EXPECT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
    gone = true;
  });
  TE_ASSERT_OK(destroyer);
  // It cannot be seen to have begun to wait; if it has not, this shows nothing.
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_FALSE(gone);
  a_.verbs->AckAsyncEvent(&event);
  destroyer->Join();
  EXPECT_TRUE(gone);
}

TEST_F(EmulatedEvent, EventsOfDestroyedObjectsAreForgotten) {
  net_.device_a.FailQp(a_.qp->qp_num);
  net_.device_a.SetPortActive(1, false);
  ASSERT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_PORT_ERR);
  EXPECT_EQ(NextEvent(a_), -1);
}

TEST_F(EmulatedEvent, ABlockingGetWaits) {
  int type = -1;
  absl::StatusOr<Thread> reader = Thread::Start({.name = "reader"}, [&] {
    ibv_async_event event;
    if (a_.verbs->GetAsyncEvent(a_.context, &event) != 0) return;
    a_.verbs->AckAsyncEvent(&event);
    type = event.event_type;
  });
  ASSERT_TRUE(reader.ok());
  net_.device_a.SetPortActive(1, false);
  reader->Join();
  EXPECT_EQ(type, IBV_EVENT_PORT_ERR);
}

TEST_F(EmulatedEvent, ADeviceFails) {
  b_.Fill(1);
  const std::vector<std::byte> before = b_.memory;
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostRecv(2), 0);
  net_.device_a.Fail();
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_DEVICE_FATAL);
  const std::vector<ibv_wc> flushed = a_.Poll();
  ASSERT_EQ(flushed.size(), 2u);
  EXPECT_EQ(flushed[0].status, IBV_WC_WR_FLUSH_ERR);
  EXPECT_EQ(flushed[1].status, IBV_WC_WR_FLUSH_ERR);
  net_.Advance(std::chrono::hours(1));
  EXPECT_EQ(b_.memory, before);

  EXPECT_EQ(a_.PostWrite(3, b_), EIO);
  EXPECT_EQ(a_.PostRecv(4), EIO);
  ibv_device_attr device;
  ibv_port_attr port;
  ibv_gid_entry gid;
  EXPECT_EQ(a_.verbs->QueryDevice(a_.context, &device), EIO);
  EXPECT_EQ(a_.verbs->QueryPort(a_.context, 1, &port), EIO);
  EXPECT_EQ(a_.verbs->QueryGidTable(a_.context, &gid, 1), -EIO);
  EXPECT_EQ(a_.ToError(), EIO);
  errno = 0;
  EXPECT_EQ(a_.verbs->RegMr(a_.pd, a_.memory.data(), 8, 0), nullptr);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(a_.verbs->OpenDevice(a_.context->device), nullptr);
  EXPECT_EQ(errno, EIO);

  // Its peers get no answer any more.
  ASSERT_EQ(b_.PostWrite(5, a_), 0);
  EXPECT_EQ(net_.Await(b_).status, IBV_WC_RETRY_EXC_ERR);
  EXPECT_EQ(NextEvent(b_), -1);
}

}  // namespace
}  // namespace te::rdma::emulated
