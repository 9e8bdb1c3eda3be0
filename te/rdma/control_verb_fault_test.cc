// The i-th control verb fails, for every i.

#include <cerrno>
#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/slice.h"

namespace te::rdma {
namespace {

using emulated::EmulatedFabric;
using emulated::Fault;

struct Case {
  std::string host;
  int error = 0;
  friend void PrintTo(const Case& param, std::ostream* os) {
    *os << param.host << (param.error == ENOMEM ? "Enomem" : "Eio");
  }
};

class ControlVerbFaultTest : public RailFixture,
                             public testing::WithParamInterface<Case> {
 protected:
  // Everything that rails do, over two NICs: also the second lane, and a
  // connection that breaks. Transfers may fail, but come back.
  absl::Status Live() {
    TE_RETURN_IF_ERROR(Start());
    for (int round = 0; round < 2; ++round) {
      for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
        // That opens those that are not open.
        for (const auto& rail : rails_) {
          for (const absl::Status& status :
               TransferOver(*rail, operation, 32, 32768)) {
            EXPECT_TRUE(status.ok() || MayBeTriedAgain(status)) << status;
          }
        }
      }
      Fault fault;
      fault.status = IBV_WC_RETRY_EXC_ERR;
      FailRequest(0, fault);
      Transfer().IgnoreError();
      NoFaults();
    }
    CloseRail();
    return absl::OkStatus();
  }
};

INSTANTIATE_TEST_SUITE_P(Hosts, ControlVerbFaultTest,
                         testing::Values(Case{"a", ENOMEM}, Case{"a", EIO},
                                         Case{"b", ENOMEM}, Case{"b", EIO}),
                         testing::PrintToStringParamName());

TEST_P(ControlVerbFaultTest, EachFailsOnceAndEverythingWorksAgain) {
  MakeHosts({2, 2});
  EmulatedFabric& fabric = pair_->fabric();
  TE_ASSERT_OK(Live());
  Stop();
  ExpectNothingLives();
  const uint64_t verbs = fabric.control_verbs(GetParam().host);
  ASSERT_GT(verbs, 20);
  uint64_t refused = 0;
  // Some more: how many there are depends on when lanes are opened.
  for (uint64_t i = 1; i <= verbs + 10; ++i) {
    SCOPED_TRACE(i);
    fabric.FailControlVerb(GetParam().host, static_cast<int>(i),
                           GetParam().error);
    const absl::Status status = Live();
    if (!status.ok()) {
      ++refused;
      EXPECT_FALSE(status.message().empty());
    }
    fabric.FailControlVerb(GetParam().host, 0, 0);
    NoFaults();
    // Engines start anew what could not be started, and connect again.
    if (client_ == nullptr || server_ == nullptr || !client_registered_ ||
        !server_registered_) {
      Stop();
      ExpectNothingLives();
      TE_ASSERT_OK(Start());
    }
    AwaitHealing();
    Stop();
    ExpectNothingLives();
    ASSERT_FALSE(HasFailure());
  }
  // Those that make devices and the first connection cannot do without.
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace te::rdma
