#include "te/core/slicer.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "gtest/gtest.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {
namespace {

TEST(SlicerTest, SlicesCoverTheRequestExactly) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t length = 1 + (random() >> (24 + random() % 40));
    const auto slice_bytes = static_cast<uint32_t>(
        4096 + random() % (kMaxSliceBytes / 2 - 4096 + 1));
    const Slicing slicing = Cut(length, slice_bytes);
    ASSERT_GE(slicing.count, 1u);
    ASSERT_EQ((slicing.count - 1) * uint64_t{slicing.size} + slicing.last,
              length);
    ASSERT_LE(slicing.size, kMaxSliceBytes);
    ASSERT_LE(slicing.last, kMaxSliceBytes);
    if (slicing.count == 1) continue;
    // No short rest, and no slice shorter than asked for.
    ASSERT_GE(slicing.size, slice_bytes);
    ASSERT_GT(slicing.last, slicing.size / 2);
    ASSERT_LE(slicing.last, slicing.size + slicing.size / 2);
  }
}

TEST(SlicerTest, CutsAsAskedFor) {
  EXPECT_EQ(Cut(1, 4096).count, 1u);
  EXPECT_EQ(Cut(4096, 4096).count, 1u);
  EXPECT_EQ(Cut(4096 + 2048, 4096).count, 1u);
  EXPECT_EQ(Cut(4096 + 2049, 4096).count, 2u);
  EXPECT_EQ(Cut(uint64_t{1} << 30, 1 << 20).count, 1024u);
}

TEST(SlicerTest, TheNumberOfSlicesIsBounded) {
  // 16 GiB in 4 KiB slices would be four million.
  EXPECT_LE(Cut(uint64_t{16} << 30, 4096).count, 4097u);
}

TEST(SlicerTest, SlicesAreAsAdvisedWithinBounds) {
  const SliceBounds bounds = {.least = 16 << 10, .most = 256 << 10};
  constexpr uint64_t kLong = 64 << 20;
  EXPECT_EQ(SliceBytes(kLong, {}, bounds), bounds.most);
  EXPECT_EQ(SliceBytes(kLong, {.bytes = 100}, bounds), bounds.least);
  EXPECT_EQ(SliceBytes(kLong, {.bytes = 1 << 30}, bounds), bounds.most);
  EXPECT_EQ(SliceBytes(kLong, {.bytes = 100'000}, bounds), 96u << 10);
}

TEST(SlicerTest, EachRailGetsASlice) {
  const SliceBounds bounds = {.least = 16 << 10, .most = 256 << 10};
  const SliceAdvice eight = {.rails = 8};
  EXPECT_EQ(SliceBytes(1 << 20, eight, bounds), 128u << 10);
  EXPECT_EQ(Cut(1 << 20, eight, bounds).count, 8u);
  // Also of what does not divide.
  EXPECT_LE(Cut((1 << 20) - 5, eight, bounds).count, 8u);
  EXPECT_EQ(SliceBytes(100'000, eight, bounds), bounds.least);
  EXPECT_EQ(Cut(64 << 10, eight, bounds).count, 1u);
  EXPECT_EQ(SliceBytes(64 << 20, eight, bounds), bounds.most);
  EXPECT_EQ(Cut(4096, eight, bounds).count, 1u);
}

}  // namespace
}  // namespace te
