#include "te/core/range_map.h"

#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace te {
namespace {

bool Any(int) { return true; }

TEST(RangeMapTest, FindsTheRangeThatContainsAll) {
  RangeMap<int> map;
  map.Insert(100, 50, 1);
  EXPECT_EQ(*map.Find(100, 50, Any), 1);
  EXPECT_EQ(*map.Find(149, 1, Any), 1);
  EXPECT_EQ(map.Find(99, 1, Any), nullptr);
  EXPECT_EQ(map.Find(150, 1, Any), nullptr);
  EXPECT_EQ(map.Find(149, 2, Any), nullptr);
  EXPECT_EQ(map.Find(100, 51, Any), nullptr);
  // Adjacent ranges do not add up.
  map.Insert(150, 50, 2);
  EXPECT_EQ(map.Find(149, 2, Any), nullptr);
}

TEST(RangeMapTest, LengthsThatOverflowAreNotFound) {
  RangeMap<int> map;
  map.Insert(100, 50, 1);
  map.Insert(UINT64_MAX - 10, 10, 2);
  EXPECT_EQ(map.Find(120, UINT64_MAX, Any), nullptr);
  EXPECT_EQ(map.Find(120, UINT64_MAX - 100, Any), nullptr);
  EXPECT_EQ(map.Find(UINT64_MAX - 5, 6, Any), nullptr);
  EXPECT_EQ(*map.Find(UINT64_MAX - 5, 5, Any), 2);
}

TEST(RangeMapTest, AgreesWithASearchThroughAll) {
  struct Range {
    uint64_t begin, length;
    int value;
  };
  std::mt19937 random(1);
  RangeMap<int> map;
  std::vector<Range> all;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t begin = random() % 200;
    const uint64_t length = 1 + random() % 60;
    if (all.size() < 30 && random() % 3 == 0) {
      map.Insert(begin, length, step);
      all.push_back({begin, length, step});
    } else if (!all.empty() && random() % 3 == 0) {
      const Range gone = all[random() % all.size()];
      map.Erase(gone.begin, [&](int value) { return value == gone.value; });
      std::erase_if(all, [&](const Range& r) { return r.value == gone.value; });
    }
    const auto odd = [](int value) { return value % 2 == 1; };
    bool expected = false;
    for (const Range& r : all) {
      expected |= begin >= r.begin && begin + length <= r.begin + r.length &&
                  odd(r.value);
    }
    ASSERT_EQ(map.Find(begin, length, odd) != nullptr, expected) << step;
  }
}

}  // namespace
}  // namespace te
