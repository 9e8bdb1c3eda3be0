// SocketAddress::Resolve when the system's resolver does not answer.
#include <netdb.h>

#include <atomic>
#include <thread>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

// Whether the resolver answers. Needs no destructor, for threads that nobody
// joins use it.
std::atomic<bool> answers{false};

}  // namespace
}  // namespace te

// In place of that of the C library.
extern "C" int getaddrinfo(const char*, const char*, const addrinfo*,
                           addrinfo**) {
  te::answers.wait(false);
  return EAI_AGAIN;
}

namespace te {
namespace {

TEST(StuckResolverTest, BoundsTheLookUpsThatNobodyWaitsFor) {
  for (int i = 0; i < 16; ++i) {
    ASSERT_THAT(SocketAddress::Resolve("db7", 1, MonotonicTime()),
                StatusIs(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_THAT(
      SocketAddress::Resolve("db7", 1, MonotonicTime()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("'db7': 16")));
  TE_EXPECT_OK(SocketAddress::Resolve("127.0.0.1", 1, MonotonicTime()));

  answers.store(true);
  answers.notify_all();
  absl::Status status;
  do {
    std::this_thread::yield();
    status = SocketAddress::Resolve("db7", 1, kNoDeadline).status();
  } while (absl::IsResourceExhausted(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace te
