#include "te/transport/shm/copy_pools.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/transport/shm/copy_pool.h"

namespace te::shm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Those that the calling thread may use.
std::vector<int> AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// Where a thread runs.
struct Place {
  std::string name;
  std::vector<int> cpus;
};

// Has one piece of work: to tell where it is done.
class Asks final : public CopyPool::Client {
 public:
  void Help() override {
    if (!has_work_.exchange(false)) return;
    char name[16] = {};
    EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
    MutexLock lock(mutex_);
    place_ = {.name = name, .cpus = AllowedCpus()};
    told_.NotifyAll();
  }
  bool has_work() const override { return has_work_; }

  Place Await() {
    const MonotonicTime deadline =
        DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
    MutexLock lock(mutex_);
    while (place_.name.empty()) {
      if (!told_.WaitUntil(mutex_, deadline)) break;
    }
    return place_;
  }

 private:
  std::atomic<bool> has_work_{true};
  Mutex mutex_;
  CondVar told_;
  Place place_ ABSL_GUARDED_BY(mutex_);
};

Place PlaceOf(CopyPool& pool) {
  const auto client = std::make_shared<Asks>();
  pool.Offer(client);
  return client->Await();
}

TEST(CopyPoolsTest, EachNodeHasThreadsOnItsCpus) {
  const std::vector<int> allowed = AllowedCpus();
  const int first = allowed.front();
  const int last = allowed.back();
  TE_ASSERT_OK_AND_ASSIGN(const auto pools,
                          CopyPools::Create(1, {{2, {first}}, {5, {last}}}));
  ASSERT_EQ(pools->size(), 2U);
  const Place near = PlaceOf(pools->pool(0));
  EXPECT_EQ(near.name, "te-shm-2-0");
  EXPECT_THAT(near.cpus, ElementsAre(first));
  const Place far = PlaceOf(pools->pool(1));
  EXPECT_EQ(far.name, "te-shm-5-0");
  EXPECT_THAT(far.cpus, ElementsAre(last));
}

TEST(CopyPoolsTest, MemoryHasThePoolOfItsNode) {
  const std::vector<int> cpus = AllowedCpus();
  TE_ASSERT_OK_AND_ASSIGN(const auto pools,
                          CopyPools::Create(1, {{2, cpus}, {5, cpus}}));
  EXPECT_EQ(pools->IndexFor(MemoryLocation::Cpu(2)), 0U);
  EXPECT_EQ(pools->IndexFor(MemoryLocation::Cpu(5)), 1U);
  // Nobody is next to these.
  EXPECT_EQ(pools->IndexFor(MemoryLocation::Cpu(3)), 0U);
  EXPECT_EQ(pools->IndexFor(MemoryLocation()), 0U);
  EXPECT_EQ(pools->IndexFor(MemoryLocation::Cuda(5)), 0U);
}

TEST(CopyPoolsTest, OneNodeOrNoneBindsNobody) {
  const std::vector<int> allowed = AllowedCpus();
  const std::map<int, std::vector<int>> none;
  const std::map<int, std::vector<int>> one = {{3, {allowed.front()}}};
  // A node without CPUs, and one whose CPU does not exist.
  const std::map<int, std::vector<int>> one_that_counts = {
      {0, {}}, {3, {allowed.front()}}, {4, {CPU_SETSIZE, -1}}};
  for (const auto& cpus : {none, one, one_that_counts}) {
    TE_ASSERT_OK_AND_ASSIGN(const auto pools, CopyPools::Create(1, cpus));
    ASSERT_EQ(pools->size(), 1U);
    EXPECT_EQ(pools->IndexFor(MemoryLocation::Cpu(3)), 0U);
    const Place place = PlaceOf(pools->pool(0));
    EXPECT_EQ(place.name, "te-shm-0");
    EXPECT_EQ(place.cpus, allowed);
  }
}

TEST(CopyPoolsTest, StaysWhereTheProcessWasBound) {
  const std::vector<int> allowed = AllowedCpus();
  // Whether there is such a CPU or not.
  const int elsewhere = allowed[0] + 1;
  cpu_set_t before;
  CPU_ZERO(&before);
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t bound;
  CPU_ZERO(&bound);
  CPU_SET(allowed[0], &bound);
  ASSERT_EQ(sched_setaffinity(0, sizeof(bound), &bound), 0);
  const auto pools =
      CopyPools::Create(1, {{0, allowed}, {1, {elsewhere}}, {2, allowed}});
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  TE_ASSERT_OK(pools);
  // Of node 1 nothing is left.
  ASSERT_EQ((*pools)->size(), 2U);
  EXPECT_EQ((*pools)->IndexFor(MemoryLocation::Cpu(1)), 0U);
  EXPECT_EQ((*pools)->IndexFor(MemoryLocation::Cpu(2)), 1U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(PlaceOf((*pools)->pool(i)).cpus, ElementsAre(allowed[0]));
  }
}

// Always has work, and does something when it is forgotten.
class Endless final : public CopyPool::Client {
 public:
  explicit Endless(std::function<void()> on_end) : on_end_(std::move(on_end)) {}
  ~Endless() override { on_end_(); }
  void Help() override {}
  bool has_work() const override { return true; }

 private:
  const std::function<void()> on_end_;
};

// As a rail may, whose slices go back to somebody who posts them elsewhere.
TEST(CopyPoolsTest, WhoIsForgottenMayCallAnyOfThemOnceMore) {
  const std::vector<int> cpus = AllowedCpus();
  int ended = 0;
  {
    TE_ASSERT_OK_AND_ASSIGN(const auto owned,
                            CopyPools::Create(1, {{0, cpus}, {1, cpus}}));
    CopyPools* const pools = owned.get();
    for (const size_t i : {0, 1}) {
      pools->pool(i).Offer(std::make_shared<Endless>([pools, i, &ended] {
        pools->pool(1 - i).Offer(std::make_shared<Endless>([&] { ++ended; }));
      }));
    }
  }
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace te::shm
