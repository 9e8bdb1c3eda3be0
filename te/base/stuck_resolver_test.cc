// SocketAddress::Resolve when the system's resolver does not answer.
#include <netdb.h>

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

// Opens once.
class Gate {
 public:
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    opened_.NotifyAll();
  }
  void Pass() {
    MutexLock lock(mutex_);
    while (!open_) opened_.WaitUntil(mutex_, kNoDeadline);
  }

 private:
  Mutex mutex_;
  CondVar opened_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

Gate& Answers() {
  // Never destroyed: detached threads use it.
  static Gate& gate = *new Gate();
  return gate;
}

}  // namespace
}  // namespace te

// In place of that of the C library.
extern "C" int getaddrinfo(const char*, const char*, const addrinfo*,
                           addrinfo**) {
  te::Answers().Pass();
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

  Answers().Open();
  absl::Status status;
  do {
    std::this_thread::yield();
    status = SocketAddress::Resolve("db7", 1, kNoDeadline).status();
  } while (absl::IsResourceExhausted(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace te
