#include "te/tools/topo_options.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TopoOptionsTest, ReadsFlags) {
  TE_ASSERT_OK_AND_ASSIGN(const TopoOptions options,
                          ParseTopoOptions({.xml = "a.xml",
                                            .sysfs = "sys",
                                            .format = "svg",
                                            .location = "cuda:3",
                                            .device_name = "mlx5_0,,mlx5_1",
                                            .exclude_device_name = "mlx5_2",
                                            .spread = 7}));
  EXPECT_EQ(options.xml, "a.xml");
  EXPECT_EQ(options.sysfs, "sys");
  EXPECT_EQ(options.format, TopoFormat::kSvg);
  EXPECT_EQ(options.location, MemoryLocation::Cuda(3));
  EXPECT_THAT(options.policy.allowed, ElementsAre("mlx5_0", "mlx5_1"));
  EXPECT_THAT(options.policy.denied, ElementsAre("mlx5_2"));
  EXPECT_EQ(options.policy.spread, 7U);
  TE_ASSERT_OK_AND_ASSIGN(const TopoOptions explain,
                          ParseTopoOptions({.explain = "*"}));
  EXPECT_EQ(explain.explain, MemoryLocation());
}

TEST(TopoOptionsTest, SaysWhatIsWrong) {
  const std::pair<TopoFlags, const char*> cases[] = {
      {{.format = "xml"}, "--format: \"xml\" is none of"},
      {{.sysfs = "sys"}, "--sysfs: "},
      {{.explain = "gpu:0"}, "--explain: unknown memory location 'gpu:0'"},
      {{.format = "json", .explain = "cpu:0"}, "--explain: goes with"},
      {{.location = "cpu:0"}, "--location: goes with"},
      {{.format = "svg", .location = "x"}, "--location: unknown"},
      {{.spread = -1}, "--spread: -1 is out of range"},
      {{.spread = int64_t{1} << 32}, "--spread: 4294967296 is out of range"},
  };
  for (const auto& [flags, complaint] : cases) {
    EXPECT_THAT(
        ParseTopoOptions(flags).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(complaint)));
  }
}

}  // namespace
}  // namespace te::tools
