#include "te/bench/environment.h"

#include <map>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Variables = std::map<std::string, std::string>;

TEST(EnvironmentTest, VariablesSetTheirFlags) {
  struct Case {
    std::string variable, value, flag, meaning;
  };
  const Case cases[] = {
      {"MC_SLICE_SIZE", "131072", "slice_size", "131072"},
      {"MC_RETRY_CNT", "9", "max_attempts", "9"},
      {"MC_TRANSFER_TIMEOUT", "5", "request_timeout", "5"},
      {"MC_HANDSHAKE_CONNECT_TIMEOUT", "2", "connect_timeout", "2"},
      {"MC_FORCE_TCP", "1", "protocol", "tcp"},
      {"MC_FORCE_TCP", "True", "protocol", "tcp"},
      {"MC_LOG_LEVEL", "TRACE", "minloglevel", "0"},
      {"MC_LOG_LEVEL", "INFO", "minloglevel", "0"},
      {"MC_LOG_LEVEL", "WARNING", "minloglevel", "1"},
      {"MC_LOG_LEVEL", "ERROR", "minloglevel", "2"},
      {"MC_LOG_DIR", "/var/log", "log_dir", "/var/log"},
      {"MC_GID_INDEX", "3", "gid_index", "3"},
      {"MC_IB_PORT", "1", "ib_port", "1"},
      {"MC_IB_TC", "106", "traffic_class", "106"},
      {"MC_IB_SL", "3", "service_level", "3"},
      {"MC_IB_PCI_RELAXED_ORDERING", "0", "relaxed_ordering", "false"},
      {"MC_IB_PCI_RELAXED_ORDERING", "2", "relaxed_ordering", "true"},
      {"MC_MTU", "4096", "mtu", "4096"},
      {"MC_PKEY_INDEX", "7", "pkey_index", "7"},
      {"MC_NUM_QP_PER_EP", "4", "num_qp", "4"},
      {"MC_MAX_EP_PER_CTX", "512", "max_endpoints", "512"},
      {"MC_MAX_WR", "512", "max_wr", "512"},
      {"MC_MAX_SGE", "2", "max_sge", "2"},
      {"MC_MAX_INLINE", "0", "max_inline", "0"},
      {"MC_TCP_BIND_ADDRESS", "10.0.0.1", "local_server_name", "10.0.0.1"},
      {"MC_TCP_BIND_ADDRESS", "::1", "local_server_name", "[::1]"},
  };
  for (const Case& c : cases) {
    TE_ASSERT_OK_AND_ASSIGN(
        const EnvironmentEffect effect,
        InterpretEnvironment({{c.variable, c.value}}, {}, ""));
    EXPECT_THAT(effect.flags, ElementsAre(FlagFromEnvironment{c.flag, c.meaning,
                                                              c.variable}));
    EXPECT_THAT(effect.warnings, IsEmpty());
  }
}

TEST(EnvironmentTest, FlagsWin) {
  TE_ASSERT_OK_AND_ASSIGN(
      const EnvironmentEffect effect,
      InterpretEnvironment({{"MC_SLICE_SIZE", "131072"},
                            {"MC_TCP_BIND_ADDRESS", "10.0.0.1"},
                            {"MC_MIN_RPC_PORT", "15000"}},
                           {"slice_size", "local_server_name"},
                           "10.0.0.2:9000"));
  EXPECT_THAT(effect.flags, IsEmpty());
  EXPECT_THAT(effect.warnings, IsEmpty());
}

TEST(EnvironmentTest, PortsGoWithAHost) {
  struct Case {
    Variables variables;
    std::string flag, name;
  };
  const Case cases[] = {
      {{{"MC_MIN_RPC_PORT", "15100"}, {"MC_MAX_RPC_PORT", "15200"}},
       "10.0.0.1",
       "10.0.0.1:15100-15200"},
      {{{"MC_MIN_RPC_PORT", "16000"}}, "eth0", "eth0:16000-17000"},
      {{{"MC_MAX_RPC_PORT", "15001"}, {"MC_TCP_BIND_ADDRESS", "::1"}},
       "",
       "[::1]:15000-15001"},
  };
  for (const Case& c : cases) {
    TE_ASSERT_OK_AND_ASSIGN(const EnvironmentEffect effect,
                            InterpretEnvironment(c.variables, {}, c.flag));
    ASSERT_EQ(effect.flags.size(), 1u);
    EXPECT_EQ(effect.flags[0].flag, "local_server_name");
    EXPECT_EQ(effect.flags[0].value, c.name);
  }
}

TEST(EnvironmentTest, PortsWithoutAHostGetAWarning) {
  TE_ASSERT_OK_AND_ASSIGN(
      const EnvironmentEffect effect,
      InterpretEnvironment({{"MC_MIN_RPC_PORT", "15000"}}, {}, ""));
  EXPECT_THAT(effect.flags, IsEmpty());
  EXPECT_THAT(effect.warnings, ElementsAre(HasSubstr("without the host")));
}

TEST(EnvironmentTest, BadValuesAreErrorsThatNameTheVariable) {
  const Variables cases = {
      {"MC_SLICE_SIZE", "64K"},     {"MC_RETRY_CNT", "-1"},
      {"MC_TRANSFER_TIMEOUT", "0"}, {"MC_HANDSHAKE_CONNECT_TIMEOUT", "x"},
      {"MC_FORCE_TCP", "yes"},      {"MC_LOG_LEVEL", "info"},
      {"MC_MIN_RPC_PORT", "70000"}, {"MC_MAX_RPC_PORT", "0"},
      {"MC_GID_INDEX", "-1"},       {"MC_IB_PCI_RELAXED_ORDERING", "3"},
  };
  for (const auto& variable : cases) {
    EXPECT_THAT(InterpretEnvironment({variable}, {}, "10.0.0.1"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(variable.first)));
  }
  EXPECT_THAT(
      InterpretEnvironment({{"MC_TCP_BIND_ADDRESS", "10.0.0.1:90"}}, {}, ""),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("MC_TCP_BIND_ADDRESS")));
  EXPECT_THAT(
      InterpretEnvironment({{"MC_MIN_RPC_PORT", "9"}, {"MC_MAX_RPC_PORT", "8"}},
                           {}, "10.0.0.1"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("MC_MIN_RPC_PORT")));
}

TEST(EnvironmentTest, EmptyOnesCountAsNotSet) {
  for (const char* name :
       {"MC_GID_INDEX", "MC_TRANSFER_TIMEOUT", "MC_FORCE_TCP", "MC_LOG_LEVEL",
        "MC_LOG_DIR", "MC_IB_PCI_RELAXED_ORDERING", "MC_TCP_BIND_ADDRESS",
        "MC_MIN_RPC_PORT", "MC_MAX_RPC_PORT", "MC_FORCE_HCA", "MC_UNKNOWN"}) {
    SCOPED_TRACE(name);
    TE_ASSERT_OK_AND_ASSIGN(const EnvironmentEffect effect,
                            InterpretEnvironment({{name, ""}}, {}, ""));
    EXPECT_THAT(effect.flags, IsEmpty());
    EXPECT_THAT(effect.warnings, IsEmpty());
  }
}

TEST(EnvironmentTest, OthersGetAWarningEach) {
  TE_ASSERT_OK_AND_ASSIGN(const EnvironmentEffect effect,
                          InterpretEnvironment({{"MC_FORCE_HCA", "1"},
                                                {"MC_NUM_CQ_PER_CTX", "2"},
                                                {"MC_SLICE_SIZ", "1"},
                                                {"MC_TE_METRIC", "1"}},
                                               {}, ""));
  EXPECT_THAT(effect.flags, IsEmpty());
  EXPECT_THAT(
      effect.warnings,
      ElementsAre(
          "environment variable MC_FORCE_HCA has no effect: it is not needed: "
          "see --protocol=rdma",
          HasSubstr("MC_NUM_CQ_PER_CTX has no effect: it is not needed"),
          "unknown environment variable MC_SLICE_SIZ; --help lists those that "
          "have an effect",
          HasSubstr("MC_TE_METRIC has no effect")));
}

TEST(EnvironmentTest, ForceTcpOffLeavesTheProtocol) {
  TE_ASSERT_OK_AND_ASSIGN(
      const EnvironmentEffect effect,
      InterpretEnvironment({{"MC_FORCE_TCP", "0"}}, {}, ""));
  EXPECT_THAT(effect.flags, IsEmpty());
}

TEST(EnvironmentTest, HelpListsVariablesWithTheirFlags) {
  EXPECT_THAT(DescribeEnvironment(), HasSubstr("MC_SLICE_SIZE"));
  EXPECT_THAT(DescribeEnvironment(), HasSubstr("--slice_size (bytes)"));
}

}  // namespace
}  // namespace te::bench
