#include "tools/fuzz/mutator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>

namespace te {
namespace {

TEST(MutatorTest, SameSeedSameSequence) {
  Mutator a({"abc", "defg"}, /*seed=*/7, /*max_size=*/64);
  Mutator b({"abc", "defg"}, /*seed=*/7, /*max_size=*/64);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(a.Next(), b.Next());
}

TEST(MutatorTest, OtherSeedOtherSequence) {
  Mutator a({"abc"}, /*seed=*/7, /*max_size=*/64);
  Mutator b({"abc"}, /*seed=*/8, /*max_size=*/64);
  int same = 0;
  for (int i = 0; i < 100; ++i) same += a.Next() == b.Next() ? 1 : 0;
  EXPECT_LT(same, 50);
}

TEST(MutatorTest, KeepsToTheSizeLimit) {
  Mutator mutator({std::string(60, 'x')}, /*seed=*/1, /*max_size=*/64);
  size_t shortest = 64;
  for (int i = 0; i < 10'000; ++i) {
    const size_t size = mutator.Next().size();
    ASSERT_LE(size, 64u);
    shortest = std::min(shortest, size);
  }
  EXPECT_LT(shortest, 8u);
}

TEST(MutatorTest, AnEmptyCorpusStillGivesManyInputs) {
  Mutator mutator({}, /*seed=*/1, /*max_size=*/64);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(mutator.Next());
  EXPECT_GT(seen.size(), 500u);
}

}  // namespace
}  // namespace te
