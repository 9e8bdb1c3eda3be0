#include "te/rdma/verbs/system_verbs.h"

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::rdma {
namespace {

TEST(SystemVerbsTest, MissingLibraryIsAStatus) {
  const auto verbs = LoadSystemVerbs("libte_no_such_library.so.1");
  EXPECT_THAT(verbs.status(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(std::string(verbs.status().message()),
              testing::AllOf(testing::HasSubstr("libte_no_such_library.so.1"),
                             testing::HasSubstr("libibverbs1")));
}

TEST(SystemVerbsTest, LibraryWithoutTheFunctionsIsAStatus) {
  const auto verbs = LoadSystemVerbs("libc.so.6");
  EXPECT_THAT(verbs.status(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(verbs.status().message()),
              testing::HasSubstr("ibv_"));
}

TEST(SystemVerbsTest, ListsDevices) {
  // The package with the headers brings the library.
  const auto verbs = LoadSystemVerbs();
  TE_ASSERT_OK(verbs.status());
  int count = -1;
  ibv_device** const list = (*verbs)->GetDeviceList(&count);
  if (list == nullptr) {
    // The kernel has no RDMA at all.
    EXPECT_EQ(errno, ENOSYS);
    return;
  }
  EXPECT_GE(count, 0);
  for (int i = 0; i < count; ++i) {
    EXPECT_NE(std::string((*verbs)->GetDeviceName(list[i])), "");
  }
  (*verbs)->FreeDeviceList(list);
}

}  // namespace
}  // namespace te::rdma
