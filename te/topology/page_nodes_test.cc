// On the kernel as it is here, which may refuse to tell.
#include "te/topology/page_nodes.h"

#include <errno.h>
#include <unistd.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/anonymous_mapping.h"

namespace te {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;

TEST(PageNodesTest, TellsOfEachPageOrWhyNotAndTouchesNone) {
  const size_t page = getpagesize();
  const AnonymousMapping mapping(4 * page);
  mapping.data()[page] = 1;
  void* const not_mapped = reinterpret_cast<void*>(page);  // NOLINT: that is it
  const std::vector<void*> pages = {mapping.data(), mapping.data() + page + 7,
                                    not_mapped};
  std::vector<int> nodes(pages.size());
  const absl::Status status = FindPageNodes(pages, absl::MakeSpan(nodes));
  EXPECT_EQ(mapping.resident_pages(), 1u);
  if (!status.ok()) {
    EXPECT_THAT(status, StatusIs(AnyOf(absl::StatusCode::kPermissionDenied,
                                       absl::StatusCode::kUnimplemented),
                                 HasSubstr("SYS_NICE")));
    GTEST_SKIP() << status;
  }
  // Linux 6.1 says EFAULT of a page that nobody has touched, where there is not
  // even a page table; 6.18 says ENOENT.
  EXPECT_THAT(nodes, ElementsAre(AnyOf(-ENOENT, -EFAULT), Ge(0), -EFAULT));
}

TEST(PageNodesTest, NoPagesAreFine) {
  const absl::Status status = FindPageNodes({}, {});
  EXPECT_TRUE(status.ok() || absl::IsPermissionDenied(status) ||
              absl::IsUnimplemented(status))
      << status;
}

}  // namespace
}  // namespace te
