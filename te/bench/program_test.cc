#include "te/bench/program.h"

#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/control_server.h"

namespace te::bench {
namespace {

class HandlerThatRefuses : public ControlHandler {
 public:
  absl::StatusOr<VersionedSegment> GetSegment(MonotonicTime) override {
    return absl::InvalidArgumentError("malformed");
  }
  absl::StatusOr<std::string> Handshake(const ControlHandshake&,
                                        MonotonicTime) override {
    return absl::InvalidArgumentError("malformed");
  }
  absl::Status Notify(const ControlNotification&, MonotonicTime) override {
    return absl::InvalidArgumentError("malformed");
  }
};

TEST(RunTransferBenchTest, APeersInvalidArgumentIsNotABadFlag) {
  HandlerThatRefuses handler;
  ControlServerOptions options;
  TE_ASSERT_OK_AND_ASSIGN(options.server.address,
                          SocketAddress::FromIp("127.0.0.1", 0));
  TE_ASSERT_OK_AND_ASSIGN(options.incarnation, Incarnation::Random());
  TE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ControlServer> peer,
                          ControlServer::Create(options, handler));
  std::vector<std::string> arguments = {
      "transfer_bench",
      "--mode=initiator",
      "--local_server_name=127.0.0.1",
      "--threads=1",
      "--buffer_size=64M",
      absl::StrCat("--segment_id=", peer->bound_address().ToString())};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  EXPECT_EQ(RunTransferBench(argv), 1);
}

TEST(RunTransferBenchTest, RaisesTheLimitOfOpenFiles) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max / 2;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::string name = "transfer_bench";
  std::string flag = "--help";
  char* argv[] = {name.data(), flag.data()};
  EXPECT_EQ(RunTransferBench(argv), 0);
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace te::bench
