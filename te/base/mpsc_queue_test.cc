#include "te/base/mpsc_queue.h"

#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace te {
namespace {

TEST(MpscQueueTest, IsFirstInFirstOut) {
  MpscQueue<int> queue(4);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.TryPush(i));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.TryPop(), i);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(MpscQueueTest, RefusesWhenFullAndGoesOnForManyLaps) {
  MpscQueue<int> queue(2);
  for (int lap = 0; lap < 100; ++lap) {
    EXPECT_TRUE(queue.TryPush(2 * lap));
    EXPECT_TRUE(queue.TryPush(2 * lap + 1));
    EXPECT_FALSE(queue.TryPush(-1));
    EXPECT_EQ(queue.TryPop(), 2 * lap);
    EXPECT_EQ(queue.TryPop(), 2 * lap + 1);
  }
}

TEST(MpscQueueTest, ARefusedElementIsUntouched) {
  MpscQueue<std::unique_ptr<int>> queue(2);
  EXPECT_TRUE(queue.TryPush(std::make_unique<int>(1)));
  EXPECT_TRUE(queue.TryPush(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(queue.TryPush(std::move(third)));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(**queue.TryPop(), 1);
}

TEST(MpscQueueTest, PoppedElementsAreReleasedAtOnce) {
  MpscQueue<std::shared_ptr<int>> queue(2);
  auto element = std::make_shared<int>(1);
  EXPECT_TRUE(queue.TryPush(element));
  EXPECT_EQ(element.use_count(), 2);
  queue.TryPop().reset();
  EXPECT_EQ(element.use_count(), 1);
}

// Every element arrives once, and those of one producer in their order.
TEST(MpscQueueTest, ManyProducers) {
  constexpr int kProducers = 4;
  constexpr int kElements = 20000;
  struct Element {
    int producer = 0;
    int number = 0;
  };
  MpscQueue<Element> queue(64);
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&queue, p] {
      for (int i = 0; i < kElements; ++i) {
        while (!queue.TryPush(Element{.producer = p, .number = i})) {
          std::this_thread::yield();
        }
      }
    });
  }
  std::vector<int> next(kProducers, 0);
  for (int received = 0; received < kProducers * kElements;) {
    std::optional<Element> element = queue.TryPop();
    if (!element.has_value()) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(element->number, next[element->producer]);
    ++next[element->producer];
    ++received;
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_FALSE(queue.TryPop().has_value());
}

}  // namespace
}  // namespace te
