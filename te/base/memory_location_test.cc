#include "te/base/memory_location.h"

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

TEST(MemoryLocationTest, ReadsWhatItPrints) {
  EXPECT_THAT(MemoryLocation::Parse("*"), IsOkAndHolds(MemoryLocation()));
  EXPECT_THAT(MemoryLocation::Parse("cpu:0"),
              IsOkAndHolds(MemoryLocation::Cpu(0)));
  EXPECT_THAT(MemoryLocation::Parse("cuda:65535"),
              IsOkAndHolds(MemoryLocation::Cuda(65535)));
  EXPECT_EQ(MemoryLocation().ToString(), "*");
  EXPECT_EQ(MemoryLocation::Cpu(3).ToString(), "cpu:3");
  EXPECT_EQ(MemoryLocation::Cuda(1).ToString(), "cuda:1");
}

TEST(MemoryLocationTest, KindsAreDifferent) {
  EXPECT_NE(MemoryLocation::Cpu(0), MemoryLocation::Cuda(0));
  EXPECT_NE(MemoryLocation::Cpu(0), MemoryLocation());
}

TEST(MemoryLocationTest, RefusesAnythingElse) {
  for (const char* text : {"", "cpu", "cpu:", "cpu:x", "cpu:-1", "cpu: 1",
                           "cpu:65536", "gpu:0", "CPU:0", "**", "cuda:1 "}) {
    EXPECT_THAT(
        MemoryLocation::Parse(text),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cuda:N")))
        << text;
  }
}

}  // namespace
}  // namespace te
