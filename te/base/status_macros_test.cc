#include "te/base/status_macros.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointee;

absl::StatusOr<int> Increment(absl::StatusOr<int> in) {
  TE_ASSIGN_OR_RETURN(int value, std::move(in));
  return value + 1;
}

absl::StatusOr<int> Check(absl::Status status) {
  TE_RETURN_IF_ERROR(status);
  return 7;
}

TEST(StatusMacrosTest, PassValuesOn) {
  EXPECT_THAT(Increment(1), IsOkAndHolds(2));
  EXPECT_THAT(Increment(1), IsOkAndHolds(Gt(1)));
  EXPECT_THAT(Check(absl::OkStatus()), IsOkAndHolds(7));
}

TEST(StatusMacrosTest, ReturnErrorsUnchanged) {
  EXPECT_THAT(Increment(absl::NotFoundError("no such segment")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("segment")));
  EXPECT_THAT(Check(absl::AbortedError("x")),
              StatusIs(absl::StatusCode::kAborted, "x"));
}

TEST(StatusMacrosTest, MoveOnlyValues) {
  auto make = []() -> absl::StatusOr<std::unique_ptr<int>> {
    return std::make_unique<int>(3);
  };
  TE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<int> value, make());
  EXPECT_THAT(value, Pointee(3));
}

TEST(StatusMatchersTest, DistinguishOkFromErrors) {
  TE_EXPECT_OK(absl::OkStatus());
  EXPECT_THAT(absl::AbortedError("x"), Not(IsOk()));
  EXPECT_THAT(absl::StatusOr<int>(absl::AbortedError("x")),
              Not(IsOkAndHolds(1)));
  EXPECT_THAT(absl::StatusOr<int>(2), Not(IsOkAndHolds(1)));
}

}  // namespace
}  // namespace te
