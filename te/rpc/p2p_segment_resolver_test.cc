#include "te/rpc/p2p_segment_resolver.h"

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control_server.h"
#include "te/rpc/fake_control_handler.h"

namespace te {
namespace {

using ::testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

class P2pSegmentResolverTest : public testing::Test {
 protected:
  std::unique_ptr<ControlServer> Serve(const char* ip) {
    ControlServerOptions options;
    options.server.address = *SocketAddress::FromIp(ip, 0);
    options.incarnation = handler_.descriptor().incarnation;
    return *ControlServer::Create(options, handler_);
  }

  FakeControlHandler handler_;
  P2pSegmentResolver resolver_;
};

TEST_F(P2pSegmentResolverTest, AsksThePeerItself) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    auto server = Serve(ip);
    TE_ASSERT_OK_AND_ASSIGN(
        const SegmentSnapshot found,
        resolver_.Lookup(server->bound_address().ToString(), nullptr, Soon()));
    EXPECT_EQ(found.descriptor, handler_.descriptor());
    EXPECT_THAT(
        resolver_.Lookup(server->bound_address().ToString(), &found, Soon()),
        IsOkAndHolds(found));
  }
}

TEST_F(P2pSegmentResolverTest, NobodyThereIsUnavailable) {
  auto server = Serve("127.0.0.1");
  const std::string name = server->bound_address().ToString();
  server.reset();
  EXPECT_THAT(resolver_.Lookup(name, nullptr, Soon()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(name)));
}

TEST_F(P2pSegmentResolverTest, OtherNamesAreExplained) {
  EXPECT_THAT(
      resolver_.Lookup("prefill-3", nullptr, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("host:port")));
}

TEST_F(P2pSegmentResolverTest, PublishingOnlyChecks) {
  EXPECT_FALSE(resolver_.keeps_descriptors());
  TE_EXPECT_OK(resolver_.Publish(handler_.descriptor(), Soon()));
  TE_EXPECT_OK(resolver_.Withdraw(handler_.descriptor().name,
                                  handler_.descriptor().incarnation, Soon()));
  EXPECT_THAT(resolver_.Publish(SegmentDescriptor(), Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace te
