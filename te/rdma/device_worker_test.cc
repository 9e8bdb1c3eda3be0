#include "te/rdma/device_worker.h"

#include <fcntl.h>
#include <infiniband/verbs.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/rdma/device.h"
#include "te/rdma/nic_fixture.h"
#include "te/rdma/queue_pair.h"
#include "te/rdma/verbs/forwarding_verbs.h"
#include "te/rdma/verbs/objects.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using emulated::WireMode;

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(30));
}

// Polls its queue, and asks to be woken when it rests. Thread-safe.
class PollingClient final : public DeviceWorker::Client {
 public:
  void Attach(ibv_cq* queue) {
    MutexLock lock(mutex_);
    queue_ = queue;
    EXPECT_EQ(ibv_req_notify_cq(queue_, 0), 0);
  }
  Progress OnCompletions() override {
    MutexLock lock(mutex_);
    ++calls_;
    return Poll() || never_rests_ ? Progress::kMoved : Progress::kIdle;
  }
  void Rest() override {
    MutexLock lock(mutex_);
    ++rests_;
    if (wants_glances()) return;
    EXPECT_EQ(ibv_req_notify_cq(queue_, 0), 0);
    Poll();
  }
  bool wants_glances() const override { return glances_wanted_ > 0; }
  void Glance() override {
    --glances_wanted_;
    OnCompletions();
  }
  // From the next completion on there is always something to do.
  void NeverRest(bool never) { never_rests_ = never; }
  // From the next completion on.
  void WantGlances(int count) { glances_wanted_ = count; }
  bool AwaitCompletions(int count) {
    MutexLock lock(mutex_);
    const MonotonicTime deadline = Soon();
    while (completions_ < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }
  int calls() {
    MutexLock lock(mutex_);
    return calls_;
  }

 private:
  bool Poll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ibv_wc completion = {};
    bool any = false;
    while (ibv_poll_cq(queue_, 1, &completion) > 0) {
      any = true;
      ++completions_;
    }
    if (any) changed_.NotifyAll();
    return any;
  }

  std::atomic<int> glances_wanted_{0};
  std::atomic<bool> never_rests_{false};
  Mutex mutex_;
  CondVar changed_;
  ibv_cq* queue_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int rests_ ABSL_GUARDED_BY(mutex_) = 0;
  int completions_ ABSL_GUARDED_BY(mutex_) = 0;
};

class DeviceWorkerTest : public NicFixture {
 protected:
  DeviceWorkerTest() : NicFixture(WireMode::kThreaded) {}
  void SetUp() override {
    NicFixture::SetUp();
    StartWorker();
  }
  void StartWorker() {
    TE_ASSERT_OK_AND_ASSIGN(
        worker_,
        DeviceWorker::Create(
            *a_, {.name = "test", .spin = std::chrono::microseconds(1)},
            [this](ibv_event_type type) {
              MutexLock lock(mutex_);
              events_.push_back(type);
              healthy_.push_back(a_->health().ok());
              changed_.NotifyAll();
            }));
  }
  void TearDown() override {
    worker_.reset();
    NicFixture::TearDown();
  }

  // A queue pair of host "a" whose completions go to `client`.
  struct Line {
    CompletionQueueObject queue;
    std::optional<QueuePair> pair;
    End peer;
  };
  Line MakeLine(PollingClient& client) {
    Line line;
    auto queue = worker_->MakeQueue(64, client);
    TE_EXPECT_OK(queue);
    line.queue = *std::move(queue);
    client.Attach(line.queue.get());
    QueuePairLimits limits = {.max_wr = 16};
    auto pair = QueuePair::Create(*a_, line.queue.get(), 0, limits);
    TE_EXPECT_OK(pair);
    line.pair = *std::move(pair);
    auto peer = MakeEnd(*b_, {});
    TE_EXPECT_OK(peer);
    line.peer = *std::move(peer);
    TE_EXPECT_OK(
        line.pair->Connect(*a_, line.peer.pair->address(), PathTo(*b_)));
    TE_EXPECT_OK(
        line.peer.pair->Connect(*b_, line.pair->address(), PathTo(*a_)));
    return line;
  }
  // A WRITE of no bytes.
  static void Post(Line& line) {
    ibv_send_wr request = {};
    request.opcode = IBV_WR_RDMA_WRITE;
    request.send_flags = IBV_SEND_SIGNALED;
    ibv_send_wr* bad = nullptr;
    EXPECT_EQ(ibv_post_send(line.pair->get(), &request, &bad), 0);
  }
  void Drop(Line& line) {
    line.pair.reset();
    worker_->Drop(std::move(line.queue));
  }
  bool AwaitEvents(size_t count, MonotonicTime deadline = Soon()) {
    MutexLock lock(mutex_);
    while (events_.size() < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<ibv_event_type> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> healthy_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<DeviceWorker> worker_;
};

TEST_F(DeviceWorkerTest, WakesForCompletionsAgainAndAgain) {
  PollingClient client;
  Line line = MakeLine(client);
  for (int i = 1; i <= 1000; ++i) {
    Post(line);
    ASSERT_TRUE(client.AwaitCompletions(i)) << i;
  }
  Drop(line);
}

TEST_F(DeviceWorkerTest, ServesManyClients) {
  std::vector<PollingClient> clients(8);
  std::vector<Line> lines;
  for (PollingClient& client : clients) lines.push_back(MakeLine(client));
  for (int i = 1; i <= 200; ++i) {
    for (Line& line : lines) Post(line);
    for (PollingClient& client : clients) {
      ASSERT_TRUE(client.AwaitCompletions(i));
    }
  }
  for (Line& line : lines) Drop(line);
}

// Its queue wakes nobody then.
TEST_F(DeviceWorkerTest, GlancesAtWhoWantsIt) {
  PollingClient client;
  Line line = MakeLine(client);
  client.WantGlances(1'000'000);
  for (int i = 1; i <= 20; ++i) {
    Post(line);
    ASSERT_TRUE(client.AwaitCompletions(i)) << i;
  }
  Drop(line);
}

TEST_F(DeviceWorkerTest, WhoMovesForEverLeavesTimeForOthers) {
  PollingClient busy;
  Line busy_line = MakeLine(busy);
  busy.NeverRest(true);
  Post(busy_line);
  PollingClient client;
  Line line = MakeLine(client);
  client.WantGlances(1'000'000);
  for (int i = 1; i <= 10; ++i) {
    Post(line);
    ASSERT_TRUE(client.AwaitCompletions(i)) << i;
  }
  emulated_a_.SetPortActive(1, false);
  EXPECT_TRUE(AwaitEvents(1));
  busy.NeverRest(false);
  Drop(line);
  Drop(busy_line);
}

// With completions under way or just come, which nobody has been told of.
TEST_F(DeviceWorkerTest, ADroppedClientIsNotCalledAnyMore) {
  PollingClient busy;
  Line busy_line = MakeLine(busy);
  for (int i = 1; i <= 500; ++i) {
    auto client = std::make_unique<PollingClient>();
    Line line = MakeLine(*client);
    Post(line);
    Post(busy_line);
    if (i % 2 == 0) std::this_thread::yield();
    Drop(line);
    const int calls = client->calls();
    ASSERT_TRUE(busy.AwaitCompletions(i));
    EXPECT_EQ(client->calls(), calls);
    // A call from now on is a use of freed memory.
    client.reset();
  }
  Drop(busy_line);
  EXPECT_EQ(emulated_a_.live_objects().cqs, 0);
}

TEST_F(DeviceWorkerTest, LooksAtTheDeviceBeforeItTellsOfAnEvent) {
  emulated_a_.SetPortActive(1, false);
  ASSERT_TRUE(AwaitEvents(1));
  emulated_a_.SetPortActive(1, true);
  ASSERT_TRUE(AwaitEvents(2));
  emulated_a_.RemoveGid(1, 3);
  ASSERT_TRUE(AwaitEvents(3));
  EXPECT_EQ(a_->port().nic.gids->size(), 3);
  emulated_a_.Fail();
  ASSERT_TRUE(AwaitEvents(4));
  MutexLock lock(mutex_);
  EXPECT_EQ(events_, (std::vector<ibv_event_type>{
                         IBV_EVENT_PORT_ERR, IBV_EVENT_PORT_ACTIVE,
                         IBV_EVENT_GID_CHANGE, IBV_EVENT_DEVICE_FATAL}));
  EXPECT_EQ(healthy_, (std::vector<bool>{false, true, true, false}));
}

// The only event of a port that comes up must not be lost to a verb that fails.
TEST_F(DeviceWorkerTest, LooksAgainIfItCouldNotSeeTheDevice) {
  emulated_a_.SetPortActive(1, false);
  ASSERT_TRUE(AwaitEvents(1));
  fabric_.FailControlVerb("a", 1, ENOMEM);
  emulated_a_.SetPortActive(1, true);
  ASSERT_TRUE(AwaitEvents(3));
  MutexLock lock(mutex_);
  EXPECT_EQ(healthy_, (std::vector<bool>{false, false, true}));
}

TEST_F(DeviceWorkerTest, AQueueThatIsTooLongSaysTheLimits) {
  PollingClient client;
  const auto queue = worker_->MakeQueue(1 << 30, client);
  EXPECT_FALSE(queue.ok());
  EXPECT_NE(std::string(queue.status().message()).find("65536"),
            std::string::npos);
}

// What tells that a device was taken out, and how.
struct Removal {
  std::string name;
  bool by_async_fd = false;
  // Of a pipe, the end that is to be polled: 0 then has POLLHUP, and 1 POLLERR.
  size_t end = 0;
  friend void PrintTo(const Removal& param, std::ostream* os) {
    *os << param.name;
  }
};

// Verbs with a device that can be taken out, once it is open: which emulated
// ones cannot. There are no events from what is to tell of it until then.
class RemovableVerbs final : public ForwardingVerbs {
 public:
  RemovableVerbs(std::shared_ptr<Verbs> target, Removal removal)
      : ForwardingVerbs(std::move(target)), removal_(std::move(removal)) {}

  void Remove() { other_end_ = UniqueFd(); }

  ibv_context* OpenDevice(ibv_device* device) override {
    ibv_context* const context = ForwardingVerbs::OpenDevice(device);
    if (removal_.by_async_fd) Replace(context->async_fd);
    return context;
  }
  ibv_comp_channel* CreateCompChannel(ibv_context* context) override {
    ibv_comp_channel* const channel =
        ForwardingVerbs::CreateCompChannel(context);
    if (!removal_.by_async_fd) Replace(channel->fd);
    return channel;
  }

 private:
  void Replace(int fd) {
    std::array<int, 2> ends = {};
    PCHECK(pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd end(ends.at(removal_.end));
    other_end_ = UniqueFd(ends.at(1 - removal_.end));
    PCHECK(dup3(end.get(), fd, O_CLOEXEC) == fd);
  }

  const Removal removal_;
  UniqueFd other_end_;
};

class RemovedDeviceTest : public DeviceWorkerTest,
                          public testing::WithParamInterface<Removal> {
 protected:
  void SetUp() override {
    NicFixture::SetUp();
    verbs_ = std::make_shared<RemovableVerbs>(fabric_.VerbsOf("a"), GetParam());
    TE_ASSERT_OK_AND_ASSIGN(a_, Device::Open(verbs_, "mlx5_0", std::nullopt));
    StartWorker();
  }
  std::shared_ptr<RemovableVerbs> verbs_;
};

INSTANTIATE_TEST_SUITE_P(Fds, RemovedDeviceTest,
                         testing::Values(Removal{"AsyncHangup", true, 0},
                                         Removal{"AsyncError", true, 1},
                                         Removal{"ChannelHangup", false, 0},
                                         Removal{"ChannelError", false, 1}),
                         testing::PrintToStringParamName());

TEST_P(RemovedDeviceTest, IsFatalAndToldOnce) {
  EXPECT_FALSE(a_->fatal());
  verbs_->Remove();
  ASSERT_TRUE(AwaitEvents(1));
  EXPECT_TRUE(a_->fatal());
  // The descriptor tells of it for ever.
  EXPECT_FALSE(AwaitEvents(
      2, DeadlineAfter(RealClock().Now(), std::chrono::milliseconds(50))));
  MutexLock lock(mutex_);
  EXPECT_EQ(events_, (std::vector<ibv_event_type>{IBV_EVENT_DEVICE_FATAL}));
  EXPECT_EQ(healthy_, std::vector<bool>{false});
}

}  // namespace
}  // namespace te::rdma
