#include "te/base/stale_peer.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

TEST(StalePeerTest, IsRecognisedByItsMark) {
  absl::Status status = StalePeerError("expected a, found b");
  EXPECT_TRUE(IsStalePeer(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               "stale peer: expected a, found b"));
}

TEST(StalePeerTest, TheTextAloneIsNotEnough) {
  EXPECT_FALSE(IsStalePeer(absl::FailedPreconditionError("stale peer: x")));
  EXPECT_FALSE(IsStalePeer(absl::OkStatus()));
}

}  // namespace
}  // namespace te
