#include "te/base/free_port.h"

#include <stdint.h>

#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/host_port.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::ElementsAre;

// What the kernel does when two begin to listen on one port at once.
TEST(FindFreePortTest, TriesAgainWhatWasRefused) {
  std::vector<uint16_t> tried;
  TE_EXPECT_OK(
      FindFreePort({.first = 65534, .last = 65535}, [&](uint16_t port) {
        tried.push_back(port);
        return tried.size() < 4 ? absl::AlreadyExistsError("in use")
                                : absl::OkStatus();
      }));
  EXPECT_THAT(tried, ElementsAre(65534, 65535, 65534, 65535));
}

TEST(FindFreePortTest, FailsAtOnceForAnotherReason) {
  int tries = 0;
  EXPECT_THAT(FindFreePort({.first = 1, .last = 9},
                           [&](uint16_t) {
                             ++tries;
                             return absl::PermissionDeniedError("no");
                           }),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(tries, 1);
}

TEST(FindFreePortTest, EndsWhenAllAreInUse) {
  EXPECT_THAT(
      FindFreePort({.first = 5, .last = 6},
                   [](uint16_t) { return absl::AlreadyExistsError("in use"); }),
      StatusIs(absl::StatusCode::kAlreadyExists));
}

}  // namespace
}  // namespace te
