#include "te/grpc/room.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/grpc/echo.grpc.pb.h"
#include "te/grpc/health_check.h"
#include "te/grpc/server.h"

namespace te {
namespace {

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

// gRPC is only initialised once in a process, so each case has its own.
class GrpcRoomDeathTest : public testing::Test {
 protected:
  GrpcRoomDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

void Limit(decltype(RLIMIT_NOFILE) resource, rlim_t most) {
  const rlimit limit = {.rlim_cur = most, .rlim_max = most};
  if (setrlimit(resource, &limit) != 0) abort();
}

// Exits with 0 when all is well or refused for want of resources.
[[noreturn]] void ExitWith(const absl::Status& status) {
  std::cerr << status << "\n";
  _exit(status.ok() || absl::IsResourceExhausted(status) ? 0 : 1);
}

[[noreturn]] void Serve() {
  GrpcServerOptions options;
  options.name = "test";
  options.address = *SocketAddress::FromIp("127.0.0.1", 0);
  proto::Echo::Service service;
  ExitWith(GrpcServer::Create(options, {&service}).status());
}

[[noreturn]] void Ask() {
  const absl::Status status = CheckHealth("127.0.0.1:1", Soon()).status();
  ExitWith(absl::IsUnavailable(status) ? absl::OkStatus() : status);
}

// UndefinedBehaviorSanitizer, which comes with AddressSanitizer here, needs two
// descriptors itself wherever it looks at an object.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr rlim_t kFewest = 8;
#else
constexpr rlim_t kFewest = 4;
#endif

TEST_F(GrpcRoomDeathTest, FewDescriptorsAreNoAbort) {
  for (rlim_t limit = kFewest; limit <= 32; limit += limit < 12 ? 1 : 4) {
    const auto exits = testing::ExitedWithCode(0);
    EXPECT_EXIT((Limit(RLIMIT_NOFILE, limit), Serve()), exits, "") << limit;
    EXPECT_EXIT((Limit(RLIMIT_NOFILE, limit), Ask()), exits, "") << limit;
  }
}

TEST_F(GrpcRoomDeathTest, SaysWhichLimitToRaise) {
  const auto exits = testing::ExitedWithCode(0);
  EXPECT_EXIT((Limit(RLIMIT_NOFILE, 10), Serve()), exits, "ulimit -n");
  EXPECT_EXIT((Limit(RLIMIT_NOFILE, 10), Ask()), exits, "ulimit -n");
  // The limit of processes does not bind root.
  if (geteuid() == 0) return;
  EXPECT_EXIT((Limit(RLIMIT_NPROC, 1), Serve()), exits, "ulimit -u");
  EXPECT_EXIT((Limit(RLIMIT_NPROC, 1), Ask()), exits, "ulimit -u");
}

TEST(GrpcRoomTest, UsuallyThereIsRoom) { TE_EXPECT_OK(CheckRoomForGrpc()); }

}  // namespace
}  // namespace te
