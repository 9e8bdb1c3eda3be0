#include "te/transport/tcp/slice_window.h"

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "te/transport/slice.h"

namespace te::tcp {
namespace {

constexpr uint32_t kSlots = SliceWindow::kSlots;

TEST(SliceWindowTest, BoundsBytesAndSlots) {
  SliceWindow window(1000, 0);
  Slice large;
  large.length = 5000;
  // One always fits.
  EXPECT_TRUE(window.HasRoom(5000));
  window.Add(large);
  EXPECT_FALSE(window.HasRoom(1));
  window.Remove();
  EXPECT_TRUE(window.HasRoom(1));

  SliceWindow many(uint64_t{1} << 40, 0);
  Slice small;
  small.length = 1;
  for (uint32_t i = 0; i < kSlots; ++i) {
    ASSERT_TRUE(many.HasRoom(1));
    many.Add(small);
  }
  EXPECT_FALSE(many.HasRoom(1));
}

// A walk over the wrap of the ids, against a plain queue.
TEST(SliceWindowTest, IdsWrap) {
  const uint32_t first = UINT32_MAX - 2 * kSlots;
  SliceWindow window(uint64_t{1} << 40, first);
  std::vector<Slice> slices(kSlots);
  for (Slice& slice : slices) slice.length = 1;
  std::deque<Slice*> expected;
  std::mt19937 random(1);
  uint32_t added = first;
  uint32_t removed = first;
  uint32_t sent = first;
  for (int step = 0; step < 100'000; ++step) {
    if (random() % 2 == 0 && window.HasRoom(1)) {
      Slice& slice = slices[random() % slices.size()];
      EXPECT_EQ(window.Add(slice), added++);
      expected.push_back(&slice);
    } else if (random() % 2 == 0 && sent != added) {
      const uint32_t count = 1 + random() % (added - sent);
      window.MarkSent(count);
      sent += count;
    } else if (removed != sent) {
      ASSERT_EQ(&window.Remove(), expected.front());
      expected.pop_front();
      ++removed;
    }
    ASSERT_EQ(window.first(), removed);
    ASSERT_EQ(window.empty(), added == removed);
    ASSERT_FALSE(window.IsSent(removed - 1));
    ASSERT_FALSE(window.IsSent(sent));
    ASSERT_FALSE(window.IsSent(added));
    if (sent != removed) {
      ASSERT_TRUE(window.IsSent(removed));
      ASSERT_TRUE(window.IsSent(sent - 1));
      ASSERT_EQ(&window.Get(removed), expected.front());
    }
  }
  EXPECT_LT(added, first) << "the ids have not wrapped";
}

}  // namespace
}  // namespace te::tcp
