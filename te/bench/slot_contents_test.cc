#include "te/bench/slot_contents.h"

#include <cstddef>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace te::bench {
namespace {

using Block = std::vector<std::byte>;

TEST(SlotContentsTest, BeginsWithWhatTheTargetSeeds) {
  const SlotContents contents({0, 4096});
  Block block(64);
  FillPattern(absl::MakeSpan(block), kTargetSeed, 4096);
  EXPECT_EQ(contents.Check(1, block), std::nullopt);
  EXPECT_TRUE(contents.Check(0, block).has_value()) << "a misplaced block";
  Block copy(64);
  contents.Copy(1, absl::MakeSpan(copy));
  EXPECT_EQ(copy, block);
}

TEST(SlotContentsTest, RemembersWhatIsNew) {
  SlotContents contents({0, 4096});
  Block seeded(64);
  contents.Copy(0, absl::MakeSpan(seeded));
  Block first(64);
  contents.Renew(0, absl::MakeSpan(first));
  EXPECT_EQ(contents.Check(0, first), std::nullopt);
  EXPECT_TRUE(contents.Check(0, seeded).has_value());

  Block second(64);
  contents.Renew(0, absl::MakeSpan(second));
  EXPECT_TRUE(contents.Check(0, first).has_value()) << "the batch before";

  Block reseeded(64);
  contents.Reseed(0, absl::MakeSpan(reseeded));
  EXPECT_EQ(reseeded, seeded);
  EXPECT_EQ(contents.Check(0, seeded), std::nullopt);
}

TEST(SlotContentsTest, PoisonIsNeverRight) {
  SlotContents contents({0});
  Block block(64);
  contents.Copy(0, absl::MakeSpan(block));
  SlotContents::Poison(absl::MakeSpan(block));
  const std::optional<Mismatch> mismatch = contents.Check(0, block);
  ASSERT_TRUE(mismatch.has_value());
  EXPECT_EQ(mismatch->position, 0u);
}

}  // namespace
}  // namespace te::bench
