#include "te/rdma/endpoint_store.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::rdma {
namespace {

using Place = EndpointStore::Place;
using Use = EndpointStore::Use;

MonotonicTime In(Duration time) {
  return DeadlineAfter(RealClock().Now(), time);
}
MonotonicTime Soon() { return In(std::chrono::seconds(60)); }

// An endpoint that leaves as soon as it is evicted.
struct Entry final : EndpointStore::Evictable {
  Use TakeUse() override {
    return pinned                       ? Use::kPinned
           : std::exchange(used, false) ? Use::kSome
                                        : Use::kNone;
  }
  void Evict() override {
    ++evictions;
    if (leaves) place.reset();
  }

  bool used = false;
  bool pinned = false;
  bool leaves = true;
  int evictions = 0;
  std::optional<Place> place;
};

class EndpointStoreTest : public testing::Test {
 protected:
  // Makes so many entries and gives them places.
  void Fill(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      entries_.push_back(std::make_shared<Entry>());
      TE_ASSERT_OK_AND_ASSIGN(Place place,
                              store_.Take(entries_.back(), Soon()));
      entries_.back()->place = std::move(place);
    }
  }
  // Which entries have no place.
  std::vector<size_t> Gone() const {
    std::vector<size_t> gone;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (!entries_[i]->place) gone.push_back(i);
    }
    return gone;
  }

  EndpointStore store_{4};
  std::vector<std::shared_ptr<Entry>> entries_;
};

TEST_F(EndpointStoreTest, TheOldestThatIsNotUsedGoes) {
  Fill(4);
  entries_[0]->used = true;
  entries_[2]->used = true;
  Fill(1);
  EXPECT_EQ(Gone(), (std::vector<size_t>{1}));
  EXPECT_EQ(store_.size(), 4u);
  // The hand goes on from there: 2 was used, 3 was not.
  Fill(1);
  EXPECT_EQ(Gone(), (std::vector<size_t>{1, 3}));
  // 4 and 5 are new; then 0, whose use was forgotten.
  entries_[4]->used = true;
  entries_[5]->used = true;
  Fill(1);
  EXPECT_EQ(Gone(), (std::vector<size_t>{0, 1, 3}));
}

TEST_F(EndpointStoreTest, OneGoesAlsoWhenAllAreUsed) {
  Fill(4);
  for (const auto& entry : entries_) entry->used = true;
  Fill(1);
  EXPECT_EQ(Gone().size(), 1u);
}

TEST_F(EndpointStoreTest, PeersAndPinnedOnesStay) {
  Fill(2);
  entries_[0]->pinned = true;
  std::vector<Place> peers;
  for (int i = 0; i < 2; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(Place place, store_.Take({}, Soon()));
    peers.push_back(std::move(place));
  }
  TE_ASSERT_OK_AND_ASSIGN(Place place, store_.Take({}, Soon()));
  EXPECT_EQ(Gone(), (std::vector<size_t>{1}));
  // Who is pinned may be evicted later, so that is worth waiting for.
  EXPECT_THAT(store_.Take({}, In(std::chrono::milliseconds(5))),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       testing::HasSubstr("max_endpoints")));
  EXPECT_EQ(entries_[0]->evictions, 0);
  // Who is a peer's may not.
  entries_[0]->place.reset();
  TE_ASSERT_OK_AND_ASSIGN(Place last, store_.Take({}, Soon()));
  EXPECT_THAT(store_.Take({}, Soon()),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(EndpointStoreTest, WaitsUntilTheDeadlineForTheEvicted) {
  Fill(4);
  for (const auto& entry : entries_) entry->leaves = false;
  EXPECT_THAT(store_.Take({}, In(std::chrono::milliseconds(5))),
              StatusIs(absl::StatusCode::kResourceExhausted));
  std::atomic<bool> taken = false;
  std::thread waiter([&] {
    TE_EXPECT_OK(store_.Take({}, Soon()).status());
    taken = true;
  });
  entries_[2]->place.reset();
  waiter.join();
  EXPECT_TRUE(taken);
}

TEST_F(EndpointStoreTest, ForgetsEntriesThatAreGone) {
  Fill(4);
  // The owner dies with its place.
  entries_.erase(entries_.begin());
  Fill(1);
  EXPECT_EQ(Gone().size(), 0u);
  EXPECT_EQ(store_.size(), 4u);
}

TEST_F(EndpointStoreTest, NeverExceedsTheLimitWithManyThreads) {
  std::atomic<size_t> most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto place = store_.Take({}, Soon());
        // All may be peers' at the moment.
        if (!place.ok()) continue;
        size_t now = store_.size();
        size_t before = most.load();
        while (now > before && !most.compare_exchange_weak(before, now)) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 4u);
  EXPECT_GE(most, 1u);
  EXPECT_EQ(store_.size(), 0u);
}

}  // namespace
}  // namespace te::rdma
