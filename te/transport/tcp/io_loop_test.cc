#include "te/transport/tcp/io_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"

namespace te::tcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }

// Waits for something that another thread does.
bool Await(const std::function<bool()>& condition) {
  const MonotonicTime deadline = Soon();
  while (!condition()) {
    if (RealClock().Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class CountingClient final : public IoLoop::Client {
 public:
  IoLoop::Outcome OnReady(uint32_t events) override {
    if (events == 0) {
      ++looks;
      return left_to_another ? IoLoop::Outcome::kLeftTo
                             : IoLoop::Outcome::kIdle;
    }
    const bool moved = on_event ? on_event() : false;
    // Last: who waits for it may signal the next event.
    ++calls;
    return moved ? IoLoop::Outcome::kMoved : IoLoop::Outcome::kIdle;
  }
  void OnRest() override { ++rests; }

  std::function<bool()> on_event;
  std::atomic<bool> left_to_another{false};
  std::atomic<int> calls{0};
  std::atomic<int> looks{0};
  std::atomic<int> rests{0};
};

// An eventfd: readable from Signal to Clear.
class Event {
 public:
  int fd() const { return fd_.get(); }
  void Signal() const { eventfd_write(fd_.get(), 1); }
  void Clear() const {
    eventfd_t value;
    eventfd_read(fd_.get(), &value);
  }

 private:
  const UniqueFd fd_ = UniqueFd(eventfd(0, EFD_NONBLOCK));
};

class IoLoopTest : public testing::Test {
 protected:
  void SetUp() override { Start(Duration::zero()); }
  void Start(Duration spin) {
    TE_ASSERT_OK_AND_ASSIGN(loop_, IoLoop::Create("loop", spin));
  }
  std::unique_ptr<IoLoop> loop_;
};

TEST_F(IoLoopTest, CallsOnEventsUntilRemoved) {
  const Event event;
  const auto client = std::make_shared<CountingClient>();
  client->on_event = [&] {
    event.Clear();
    return true;
  };
  IoLoop::Id id = 0;
  TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN, client, id));
  for (int i = 1; i <= 10; ++i) {
    event.Signal();
    ASSERT_TRUE(Await([&] { return client->calls == i; }));
  }
  EXPECT_TRUE(Await([&] { return client->rests > 0; }));
  loop_->Remove(id, event.fd());
  EXPECT_EQ(client.use_count(), 1);
  event.Signal();
  // Known no more; and another one is served, so the loop has looked.
  const Event other;
  const auto witness = std::make_shared<CountingClient>();
  witness->on_event = [&] {
    other.Clear();
    return false;
  };
  TE_ASSERT_OK(loop_->Add(other.fd(), EPOLLIN, witness, id));
  other.Signal();
  EXPECT_TRUE(Await([&] { return witness->calls == 1; }));
  EXPECT_EQ(client->calls, 10);
  loop_->Remove(id, other.fd());
  loop_->Remove(12345, other.fd());
}

TEST_F(IoLoopTest, ModifyArmsAOneShotAgain) {
  const Event event;
  event.Signal();
  const auto client = std::make_shared<CountingClient>();
  IoLoop::Id id = 0;
  TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN | EPOLLONESHOT, client, id));
  for (int i = 1; i <= 10; ++i) {
    ASSERT_TRUE(Await([&] { return client->calls == i; }));
    ASSERT_TRUE(Await([&] { return client->rests == i; }));
    ASSERT_EQ(client->calls, i);
    loop_->Modify(id, event.fd(), EPOLLIN | EPOLLONESHOT);
  }
  loop_->Remove(id, event.fd());
}

TEST_F(IoLoopTest, RemoveWaitsForARunningCallback) {
  for (int i = 0; i < 200; ++i) {
    const Event event;
    std::atomic<bool> running = false;
    std::atomic<bool> ended = false;
    const auto client = std::make_shared<CountingClient>();
    client->on_event = [&] {
      running = true;
      for (int n = 0; n < 100; ++n) std::this_thread::yield();
      event.Clear();
      ended = true;
      return false;
    };
    IoLoop::Id id = 0;
    TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN, client, id));
    event.Signal();
    ASSERT_TRUE(Await([&] { return running.load(); }));
    loop_->Remove(id, event.fd());
    ASSERT_TRUE(ended);
  }
}

TEST_F(IoLoopTest, AClientMayRemoveItself) {
  const Event event;
  event.Signal();
  IoLoop::Id id = 0;
  auto client = std::make_shared<CountingClient>();
  client->on_event = [&] {
    loop_->Remove(id, event.fd());
    return true;
  };
  TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN, client, id));
  EXPECT_TRUE(Await([&] { return client->calls == 1; }));
  // The loop lets go of it, and does not call it any more.
  EXPECT_TRUE(Await([&] { return client.use_count() == 1; }));
  EXPECT_EQ(client->calls, 1);
}

TEST_F(IoLoopTest, ServesMoreClientsThanItSpinsFor) {
  Start(milliseconds(1));
  constexpr int kClients = 20;
  std::vector<Event> events(kClients);
  std::vector<std::shared_ptr<CountingClient>> clients;
  std::vector<IoLoop::Id> ids(kClients);
  for (int c = 0; c < kClients; ++c) {
    auto client = std::make_shared<CountingClient>();
    client->on_event = [&events, c] {
      events[c].Clear();
      return true;
    };
    TE_ASSERT_OK(loop_->Add(events[c].fd(), EPOLLIN, client, ids[c]));
    clients.push_back(std::move(client));
  }
  for (int round = 1; round <= 50; ++round) {
    for (const Event& event : events) event.Signal();
    for (const auto& client : clients) {
      ASSERT_TRUE(Await([&] { return client->calls >= round; }));
    }
  }
  for (int c = 0; c < kClients; ++c) {
    // Those that made way for others were told.
    EXPECT_TRUE(Await([&] { return clients[c]->rests > 0; }));
    loop_->Remove(ids[c], events[c].fd());
  }
}

TEST_F(IoLoopTest, DoesNotSpinForWhatIsLeftToAnother) {
  Start(std::chrono::hours(1));
  const Event event;
  const auto client = std::make_shared<CountingClient>();
  std::atomic<int> looks_before_event = 0;
  client->on_event = [&] {
    looks_before_event = client->looks.load();
    event.Clear();
    return true;
  };
  IoLoop::Id id = 0;
  TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN, client, id));
  event.Signal();
  ASSERT_TRUE(Await([&] { return client->looks > 0; }));
  EXPECT_EQ(client->rests, 0);
  client->left_to_another = true;
  ASSERT_TRUE(Await([&] { return client->rests == 1; }));
  const int looks = client->looks;
  // Events still reach it.
  event.Signal();
  EXPECT_TRUE(Await([&] { return client->calls == 2; }));
  EXPECT_EQ(looks_before_event, looks);
  loop_->Remove(id, event.fd());
}

TEST_F(IoLoopTest, ThreadsAddModifyAndRemove) {
  Start(milliseconds(1));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        const Event event;
        event.Signal();
        const auto client = std::make_shared<CountingClient>();
        IoLoop::Id id = 0;
        TE_ASSERT_OK(
            loop_->Add(event.fd(), EPOLLIN | EPOLLONESHOT, client, id));
        for (int n = 0; n < 3; ++n) {
          loop_->Modify(id, event.fd(), EPOLLIN | EPOLLONESHOT);
        }
        if (i % 2 == 0) {
          ASSERT_TRUE(Await([&] { return client->calls > 0; }));
        }
        loop_->Remove(id, event.fd());
        const int calls = client->calls;
        std::this_thread::yield();
        ASSERT_EQ(client->calls, calls);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// CPU time of the calling thread.
Duration CpuTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + Duration(time.tv_nsec);
}

TEST_F(IoLoopTest, UsesNoCpuAtRest) {
  Start(milliseconds(1));
  const Event event;
  std::atomic<int64_t> cpu = 0;
  const auto client = std::make_shared<CountingClient>();
  client->on_event = [&] {
    event.Clear();
    cpu = CpuTime().count();
    return true;
  };
  IoLoop::Id id = 0;
  TE_ASSERT_OK(loop_->Add(event.fd(), EPOLLIN, client, id));
  event.Signal();
  ASSERT_TRUE(Await([&] { return client->rests == 1; }));
  const int64_t before = cpu;
  // A while: nobody will signal this.
  Mutex mutex;
  CondVar never;
  const MonotonicTime later =
      DeadlineAfter(RealClock().Now(), milliseconds(500));
  {
    MutexLock lock(mutex);
    while (never.WaitUntil(mutex, later)) continue;
  }
  event.Signal();
  ASSERT_TRUE(Await([&] { return client->rests == 2; }));
  // The spins, and far more; a loop that never rests uses ten times as much.
  EXPECT_LT(Duration(cpu - before), milliseconds(50));
  loop_->Remove(id, event.fd());
}

}  // namespace
}  // namespace te::tcp
