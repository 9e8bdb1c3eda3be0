#include "te/base/errno_status.h"

#include <errno.h>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

TEST(ErrnoStatusTest, NamesCallCauseAndErrno) {
  EXPECT_THAT(ErrnoToStatus(ENOENT, "open /x"),
              StatusIs(absl::StatusCode::kNotFound,
                       "open /x: No such file or directory (ENOENT)"));
}

TEST(ErrnoStatusTest, UnknownNumbersKeepTheNumber) {
  EXPECT_THAT(
      ErrnoToStatus(99999, "x"),
      StatusIs(absl::StatusCode::kUnknown, "x: unknown error (errno 99999)"));
}

TEST(ErrnoStatusTest, ZeroIsNotSuccess) {
  EXPECT_FALSE(ErrnoToStatus(0, "x").ok());
}

}  // namespace
}  // namespace te
