#include "te/base/child_process.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

TEST(ChildProcessTest, AnswersUntilItIsKilled) {
  TE_ASSERT_OK_AND_ASSIGN(const auto cat, ChildProcess::Start({"cat"}));
  EXPECT_THAT(cat->Ask("one"), IsOkAndHolds("one"));
  cat->Stop();
  cat->Continue();
  EXPECT_THAT(cat->Ask("two"), IsOkAndHolds("two"));
  cat->Kill();
  EXPECT_FALSE(cat->Ask("three").ok());
}

TEST(ChildProcessTest, OneThatEndsByItselfIsGone) {
  TE_ASSERT_OK_AND_ASSIGN(const auto program, ChildProcess::Start({"true"}));
  EXPECT_THAT(program->ReadLine(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(program->Ask("one").ok());
}

TEST(ChildProcessTest, AProgramThatIsNotThereIsAnError) {
  EXPECT_THAT(ChildProcess::Start({"/no/such/program"}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace te
