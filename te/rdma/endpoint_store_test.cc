#include "te/rdma/endpoint_store.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/fake_clock.h"
#include "te/base/status_matchers.h"

namespace te::rdma {
namespace {

using Need = EndpointStore::Need;
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

  // What Take logs, of one that is full.
  std::string LogOfFill(size_t count) {
    testing::internal::CaptureStderr();
    Fill(count);
    return testing::internal::GetCapturedStderr();
  }

  FakeClock clock_;
  EndpointStore store_{4, clock_};
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

TEST_F(EndpointStoreTest, WarnsOnceThatOneInUseIsEvicted) {
  Fill(4);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(LogOfFill(1), "") << "nobody needs the first one";
  std::vector<Place> peers;
  entries_[1]->place.reset();
  TE_ASSERT_OK_AND_ASSIGN(Place peer, store_.Take({}, Soon()));
  // Of those that are left 4 is new, and nobody knows when the others were
  // used.
  entries_[2]->used = entries_[3]->used = true;
  entries_[4]->used = true;
  EXPECT_EQ(LogOfFill(1), "");
  // By now it is known: since a moment ago.
  for (const auto& entry : entries_) entry->used = true;
  EXPECT_THAT(
      LogOfFill(1),
      testing::AllOf(testing::HasSubstr("max_endpoints is too small: all 4"),
                     testing::HasSubstr("1 of them by peers")));
  for (const auto& entry : entries_) entry->used = true;
  EXPECT_EQ(LogOfFill(1), "") << "it was said";
}

TEST_F(EndpointStoreTest, WhoCanDoWithoutGetsThePlaceOfAnIdleOneAlone) {
  const auto take_spare = [&] {
    auto place = store_.Take(std::make_shared<Entry>(), Soon(), Need::kSpare);
    if (!place.ok()) {
      EXPECT_THAT(place, StatusIs(absl::StatusCode::kResourceExhausted));
    }
    return place.ok();
  };
  Fill(3);
  EXPECT_TRUE(take_spare()) << "one was free";
  Fill(1);
  EXPECT_FALSE(take_spare()) << "all are new";
  entries_[1]->used = true;
  entries_[2]->pinned = true;
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(take_spare());
  EXPECT_EQ(Gone(), (std::vector<size_t>{0}));
  Fill(1);
  // That they have been used is found now, and nobody knows since when.
  entries_[3]->used = true;
  EXPECT_FALSE(take_spare());
  clock_.Advance(std::chrono::seconds(1));
  entries_[3]->used = entries_[4]->used = true;
  EXPECT_TRUE(take_spare());
  EXPECT_EQ(Gone(), (std::vector<size_t>{0, 1}));
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
