#include "te/base/crc32c.h"

#include <stdint.h>

#include <array>
#include <numeric>

#include "gtest/gtest.h"

namespace te {
namespace {

using Block = std::array<uint8_t, 32>;

uint32_t Crc(const Block& block) {
  return ExtendCrc32c(0, block.data(), block.size());
}

// RFC 3720, appendix B.4.
TEST(Crc32cTest, Rfc3720Vectors) {
  Block block;
  block.fill(0);
  EXPECT_EQ(Crc(block), 0x8a9136aau);
  block.fill(0xff);
  EXPECT_EQ(Crc(block), 0x62a8ab43u);
  std::iota(block.begin(), block.end(), 0);
  EXPECT_EQ(Crc(block), 0x46dd794eu);
  std::iota(block.rbegin(), block.rend(), 0);
  EXPECT_EQ(Crc(block), 0x113fdb5cu);
}

TEST(Crc32cTest, ExtendsOverAnyCut) {
  Block block;
  std::iota(block.begin(), block.end(), 0);
  for (size_t cut = 0; cut <= block.size(); ++cut) {
    uint32_t crc = ExtendCrc32c(0, block.data(), cut);
    EXPECT_EQ(ExtendCrc32c(crc, block.data() + cut, block.size() - cut),
              0x46dd794eu);
  }
}

TEST(Crc32cTest, NothingChangesNothing) {
  EXPECT_EQ(ExtendCrc32c(0, nullptr, 0), 0u);
  EXPECT_EQ(ExtendCrc32c(0x1234, nullptr, 0), 0x1234u);
}

}  // namespace
}  // namespace te
