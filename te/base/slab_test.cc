#include "te/base/slab.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace te {
namespace {

TEST(SlabTest, LendsUpToItsCapacity) {
  Slab<int> slab(2);
  auto first = slab.Acquire();
  auto second = slab.Acquire();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_NE(first->object, second->object);
  EXPECT_FALSE(slab.Acquire().has_value());
  EXPECT_EQ(slab.size(), 2u);
  EXPECT_TRUE(slab.Release(first->handle));
  EXPECT_EQ(slab.size(), 1u);
  EXPECT_TRUE(slab.Acquire().has_value());
}

TEST(SlabTest, StaleHandlesAreRecognised) {
  Slab<int> slab(1);
  auto old = slab.Acquire();
  EXPECT_EQ(slab.Get(old->handle), old->object);
  EXPECT_TRUE(slab.Release(old->handle));
  EXPECT_EQ(slab.Get(old->handle), nullptr);
  EXPECT_FALSE(slab.Release(old->handle));

  auto fresh = slab.Acquire();
  EXPECT_EQ(fresh->object, old->object);
  EXPECT_EQ(slab.Get(old->handle), nullptr);
  EXPECT_FALSE(slab.Release(old->handle));
  EXPECT_EQ(slab.Get(fresh->handle), fresh->object);
}

TEST(SlabTest, InventedHandlesAreRefused) {
  Slab<int> slab(1);
  EXPECT_EQ(slab.Get(SlabHandle()), nullptr);
  EXPECT_EQ(slab.Get({.index = 0, .generation = 1}), nullptr);
  EXPECT_EQ(slab.Get({.index = 9, .generation = 1}), nullptr);
  EXPECT_EQ(slab.Get(SlabHandle::Unpack(~uint64_t{0})), nullptr);
}

TEST(SlabTest, ObjectsKeepTheirContents) {
  Slab<std::vector<int>> slab(1);
  auto first = slab.Acquire();
  first->object->reserve(100);
  slab.Release(first->handle);
  EXPECT_GE(slab.Acquire()->object->capacity(), 100u);
}

TEST(SlabTest, HoldsTypesThatCannotMove) {
  Slab<std::atomic<int>> slab(3);
  EXPECT_EQ(*slab.Acquire()->object, 0);
}

TEST(SlabHandleTest, PacksIntoANonZeroNumber) {
  Slab<int> slab(1);
  SlabHandle handle = slab.Acquire()->handle;
  EXPECT_NE(handle.Pack(), 0u);
  EXPECT_EQ(SlabHandle::Unpack(handle.Pack()), handle);
}

TEST(SlabTest, ThreadsNeverShareAnObject) {
  Slab<int> slab(8);
  std::atomic<int> collisions = 0;
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        auto acquired = slab.Acquire();
        *acquired->object = t;
        if (*slab.Get(acquired->handle) != t) ++collisions;
        slab.Release(acquired->handle);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(collisions, 0);
  EXPECT_EQ(slab.size(), 0u);
}

}  // namespace
}  // namespace te
