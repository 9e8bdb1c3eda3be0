#include "te/transport/slice_list.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "te/transport/slice.h"

namespace te {
namespace {

std::vector<uint32_t> Drain(SliceList list) {
  std::vector<uint32_t> order;
  while (!list.empty()) order.push_back(list.PopFront().request);
  return order;
}

std::vector<Slice> Numbered(size_t count) {
  std::vector<Slice> slices(count);
  for (size_t i = 0; i < count; ++i) {
    slices[i].request = static_cast<uint32_t>(i);
  }
  return slices;
}

TEST(SliceListTest, KeepsOrder) {
  auto slices = Numbered(5);
  SliceList first;
  first.PushBack(slices[0]);
  first.PushBack(slices[1]);
  SliceList second;
  second.PushBack(slices[2]);
  first.Append(std::move(second));
  first.Append(SliceList());
  EXPECT_EQ(Drain(std::move(first)), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_TRUE(SliceList().empty());
}

TEST(SliceListTest, TakesSlicesThatAreLinkedAlready) {
  auto slices = Numbered(4);
  slices[0].next = &slices[1];
  slices[2].next = &slices[3];
  SliceList list(slices[0], slices[1]);
  list.PopFront();
  list.PopFront();
  EXPECT_TRUE(list.empty());
  list.Append(slices[2], slices[3]);
  list.PushBack(slices[0]);
  EXPECT_EQ(Drain(std::move(list)), (std::vector<uint32_t>{2, 3, 0}));
}

TEST(SliceInboxTest, GivesGroupsInTheOrderOfPushes) {
  auto slices = Numbered(6);
  SliceInbox inbox;
  EXPECT_TRUE(inbox.empty());
  for (const auto& [begin, end] :
       {std::pair(0, 1), std::pair(1, 4), std::pair(4, 6)}) {
    std::vector<Slice*> group;
    for (int i = begin; i < end; ++i) group.push_back(&slices[i]);
    inbox.Push(group);
  }
  EXPECT_FALSE(inbox.empty());
  EXPECT_EQ(Drain(inbox.TakeAll()), (std::vector<uint32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(inbox.empty());
  EXPECT_TRUE(inbox.TakeAll().empty());
}

TEST(SliceInboxTest, LosesNothingOfSeveralThreads) {
  constexpr size_t kEach = 20'000;
  constexpr size_t kThreads = 3;
  auto slices = Numbered(kEach * kThreads);
  SliceInbox inbox;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; i += 2) {
        Slice* const group[] = {&slices[t * kEach + i],
                                &slices[t * kEach + i + 1]};
        inbox.Push(group);
      }
    });
  }
  std::vector<uint32_t> next(kThreads);
  for (size_t taken = 0; taken < slices.size();) {
    for (const uint32_t request : Drain(inbox.TakeAll())) {
      const size_t thread = request / kEach;
      ASSERT_EQ(request % kEach, next[thread]++);
      ++taken;
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace te
