#include "te/transport/shm/copy_pool.h"

#include <atomic>
#include <chrono>
#include <climits>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"

namespace te::shm {
namespace {

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

// Counts up to what was wanted.
class Count {
 public:
  void Add() {
    MutexLock lock(mutex_);
    ++count_;
    changed_.NotifyAll();
  }
  bool Await(int count) {
    const MonotonicTime deadline = Soon();
    MutexLock lock(mutex_);
    while (count_ < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return count_ >= count;
    }
    return true;
  }
  int value() const {
    MutexLock lock(mutex_);
    return count_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Has so many pieces of work.
class Worker final : public CopyPool::Client {
 public:
  using Action = std::function<void()>;
  explicit Worker(int pieces, Action on_piece = nullptr,
                  Action on_end = nullptr)
      : pieces_(pieces),
        on_piece_(std::move(on_piece)),
        on_end_(std::move(on_end)) {}
  ~Worker() override {
    if (on_end_) on_end_();
  }

  void Help() override {
    int pieces = pieces_;
    while (pieces > 0 && !pieces_.compare_exchange_weak(pieces, pieces - 1)) {
    }
    if (pieces > 0 && on_piece_) on_piece_();
  }
  bool has_work() const override { return pieces_ > 0; }

  void AddWork(int pieces) { pieces_ += pieces; }

 private:
  std::atomic<int> pieces_;
  const Action on_piece_;
  const Action on_end_;
};

TEST(CopyPoolTest, AllClientsAreHelpedUntilTheyHaveNoMoreWork) {
  for (const int threads : {1, 4}) {
    constexpr int kClients = 50;
    constexpr int kPieces = 100;
    Count done;
    TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(threads));
    for (int i = 0; i < kClients; ++i) {
      pool->Offer(std::make_shared<Worker>(kPieces, [&] { done.Add(); }));
    }
    EXPECT_TRUE(done.Await(kClients * kPieces)) << done.value();
    EXPECT_EQ(done.value(), kClients * kPieces);
  }
}

// One with much work does not keep the others from getting help.
TEST(CopyPoolTest, ClientsTakeTurns) {
  Count endless;
  Count other;
  TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(1));
  pool->Offer(std::make_shared<Worker>(INT_MAX, [&] { endless.Add(); }));
  ASSERT_TRUE(endless.Await(1));
  pool->Offer(std::make_shared<Worker>(3, [&] { other.Add(); }));
  EXPECT_TRUE(other.Await(3));
}

TEST(CopyPoolTest, WorkThatIsAddedLaterIsDone) {
  Count done;
  TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(2));
  const auto client = std::make_shared<Worker>(0, [&] { done.Add(); });
  for (int i = 1; i <= 2000; ++i) {
    client->AddWork(1);
    // Wherever the threads are with it at the moment.
    pool->Offer(client);
    if (i % 3 == 0) {
      ASSERT_TRUE(done.Await(i));
    }
  }
  EXPECT_TRUE(done.Await(2000));
  EXPECT_EQ(done.value(), 2000);
}

TEST(CopyPoolTest, SeveralThreadsHelpOneClient) {
  constexpr int kThreads = 3;
  Count inside;
  std::atomic<int> together{0};
  TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(kThreads));
  pool->Offer(std::make_shared<Worker>(kThreads, [&] {
    inside.Add();
    if (inside.Await(kThreads)) ++together;
  }));
  EXPECT_TRUE(inside.Await(kThreads));
  const MonotonicTime deadline = Soon();
  while (together < kThreads && RealClock().Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(together, kThreads);
}

TEST(CopyPoolTest, ClientsAreLetGoWhenTheyHaveNoMoreWork) {
  Count ended;
  TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(2));
  for (int i = 0; i < 10; ++i) {
    pool->Offer(std::make_shared<Worker>(5, nullptr, [&] { ended.Add(); }));
  }
  EXPECT_TRUE(ended.Await(10));
}

// They always wait, as they always have work.
TEST(CopyPoolTest, ForgetsThoseThatStillWait) {
  Count ended;
  std::vector<std::shared_ptr<Worker>> ours;
  {
    TE_ASSERT_OK_AND_ASSIGN(const auto pool, CopyPool::Create(2));
    for (int i = 0; i < 10; ++i) {
      auto client =
          std::make_shared<Worker>(INT_MAX, nullptr, [&] { ended.Add(); });
      if (i % 2 == 0) ours.push_back(client);
      pool->Offer(std::move(client));
    }
  }
  EXPECT_EQ(ended.value(), 5);
  for (const auto& client : ours) EXPECT_EQ(client.use_count(), 1);
}

// As a rail may, whose slices go back to somebody who posts them elsewhere.
TEST(CopyPoolTest, ClientsThatItForgetsMayCallItOnceMore) {
  Count ended;
  {
    TE_ASSERT_OK_AND_ASSIGN(const auto owned, CopyPool::Create(2));
    CopyPool* const pool = owned.get();
    for (int i = 0; i < 3; ++i) {
      pool->Offer(std::make_shared<Worker>(INT_MAX, nullptr, [pool, &ended] {
        pool->Offer(std::make_shared<Worker>(INT_MAX, nullptr,
                                             [&ended] { ended.Add(); }));
      }));
    }
  }
  EXPECT_EQ(ended.value(), 3);
}

}  // namespace
}  // namespace te::shm
