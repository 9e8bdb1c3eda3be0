#include "te/topology/page_sizes.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sstream>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/anonymous_mapping.h"

namespace te {
namespace {

constexpr uint64_t kBegin = 0x7f0000000000;
constexpr uint64_t kMiB = 1 << 20;

PageSizes Of(const std::string& text, uint64_t address, uint64_t length) {
  std::istringstream smaps(text);
  return ParsePageSizes(smaps, address, length);
}

// Of the mapping of 64 MiB at kBegin that each file has.
PageSizes OfFile(const std::string& name) {
  const auto sizes = FindPageSizes("te/topology/testdata/page_sizes/" + name,
                                   kBegin, 64 * kMiB);
  TE_EXPECT_OK(sizes);
  return sizes.value_or(PageSizes());
}

TEST(PageSizesTest, SmallPages) {
  const PageSizes sizes = OfFile("small");
  EXPECT_EQ(sizes.small_bytes, 64 * kMiB);
  EXPECT_EQ(sizes.huge_bytes, 0u);
}

TEST(PageSizesTest, ReservedHugePages) {
  const PageSizes sizes = OfFile("hugetlb");
  EXPECT_EQ(sizes.small_bytes, 0u);
  EXPECT_EQ(sizes.huge_bytes, 64 * kMiB);
}

TEST(PageSizesTest, TransparentHugePages) {
  EXPECT_EQ(OfFile("transparent").small_bytes, 16 * kMiB);
  EXPECT_EQ(OfFile("transparent").huge_bytes, 48 * kMiB);
  EXPECT_EQ(OfFile("shared").huge_bytes, 64 * kMiB);
}

TEST(PageSizesTest, UntouchedPagesCountAsWhatTheyWillBe) {
  const PageSizes sizes = OfFile("untouched");
  EXPECT_EQ(sizes.huge_bytes, 32 * kMiB);
  EXPECT_EQ(sizes.small_bytes, 32 * kMiB);
}

TEST(PageSizesTest, OnlyWhatIsWithinTheRangeCounts) {
  const std::string text =
      "1000-3000 rw-p 00000000 00:00 0\n"
      "KernelPageSize:        4 kB\n"
      "5000-7000 rw-p 00000000 00:00 0\n"
      "KernelPageSize:     2048 kB\n";
  EXPECT_EQ(Of(text, 0x1800, 0x4000).small_bytes, 0x1800u);
  EXPECT_EQ(Of(text, 0x1800, 0x4000).huge_bytes, 0x800u);
  EXPECT_EQ(Of(text, 0x3000, 0x2000).small_bytes, 0u);
  EXPECT_EQ(Of(text, 0x3000, 0x2000).huge_bytes, 0u);
  EXPECT_EQ(Of(text, 0, UINT64_MAX).small_bytes, 0x2000u);
}

TEST(PageSizesTest, OtherTextIsSkipped) {
  EXPECT_EQ(Of("", 0, 10).small_bytes, 0u);
  const std::string text =
      "Rss: 4 kB\n"
      "nonsense\n"
      "5-3 rw-p\n"
      "1000-2000 rw-p\n"
      "Rss: many kB\n"
      "AnonHugePages: 99999999999999999999999 kB\n"
      "FilePmdMapped: 18446744073709551615 kB\n"
      "1800-2800 it overlaps\n"
      "3000-4000";
  EXPECT_EQ(Of(text, 0, UINT64_MAX).huge_bytes, 0x1000u);
  EXPECT_EQ(Of(text, 0, UINT64_MAX).small_bytes, 0x1000u);
}

TEST(PageSizesTest, OfThisProcess) {
  constexpr size_t kBytes = 8 * kMiB;
  const AnonymousMapping memory(kBytes);
  memset(memory.data(), 1, kBytes);
  TE_ASSERT_OK_AND_ASSIGN(
      const PageSizes sizes,
      FindPageSizes("/proc/self/smaps", memory.address(), kBytes));
  EXPECT_EQ(sizes.small_bytes, kBytes);
  EXPECT_EQ(sizes.huge_bytes, 0u);
}

TEST(PageSizesTest, AFileThatIsNotThereIsAnError) {
  EXPECT_THAT(FindPageSizes("/nonexistent", 0, 1),
              StatusIs(absl::StatusCode::kNotFound,
                       testing::HasSubstr("/nonexistent")));
}

}  // namespace
}  // namespace te
