#include "te/bench/pattern.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace te::bench {
namespace {

std::vector<std::byte> Filled(size_t size, uint64_t seed, uint64_t position) {
  std::vector<std::byte> memory(size);
  FillPattern(absl::MakeSpan(memory), seed, position);
  return memory;
}

TEST(PatternTest, IsWhatItWasFilledWith) {
  for (size_t size : {1, 7, 8, 9, 4096, 4099}) {
    for (uint64_t position : {0, 1, 7, 8, 12345}) {
      EXPECT_EQ(FindMismatch(Filled(size, 3, position), 3, position),
                std::nullopt)
          << size << " bytes at " << position;
    }
  }
}

TEST(PatternTest, PiecesAreTheSameAsTheWhole) {
  const std::vector<std::byte> whole = Filled(1000, 5, 100);
  for (size_t at : {0, 1, 8, 13, 999}) {
    const std::vector<std::byte> rest = Filled(1000 - at, 5, 100 + at);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + at)) << at;
  }
}

TEST(PatternTest, FindsEveryWrongByte) {
  std::vector<std::byte> memory = Filled(100, 3, 5);
  for (size_t i = 0; i < memory.size(); ++i) {
    memory[i] ^= std::byte{1};
    const std::optional<Mismatch> mismatch = FindMismatch(memory, 3, 5);
    ASSERT_TRUE(mismatch.has_value()) << i;
    EXPECT_EQ(mismatch->position, 5 + i);
    EXPECT_NE(mismatch->expected, mismatch->found);
    memory[i] ^= std::byte{1};
  }
}

TEST(PatternTest, SaysExpectedAndFound) {
  std::vector<std::byte> memory = Filled(8, 3, 0);
  const std::byte right = memory[6];
  memory[6] = std::byte{0xab};
  const std::optional<Mismatch> mismatch = FindMismatch(memory, 3, 0);
  ASSERT_TRUE(mismatch.has_value());
  EXPECT_EQ(mismatch->found.substr(0, 2), "ab");
  EXPECT_EQ(std::stoi(mismatch->expected.substr(0, 2), nullptr, 16),
            std::to_integer<int>(right));
  EXPECT_EQ(mismatch->found.size(), 4u);  // two bytes to the word's end
}

TEST(PatternTest, FindsMisplacedBlocksAndOtherSeeds) {
  const std::vector<std::byte> memory = Filled(4096, 3, 8192);
  for (uint64_t elsewhere : {0, 8, 4096, 8184, 8200, 1 << 30}) {
    EXPECT_TRUE(FindMismatch(memory, 3, elsewhere).has_value()) << elsewhere;
  }
  EXPECT_TRUE(FindMismatch(memory, 2, 8192).has_value());
  EXPECT_TRUE(FindMismatch(memory, 4, 8192).has_value());
}

}  // namespace
}  // namespace te::bench
