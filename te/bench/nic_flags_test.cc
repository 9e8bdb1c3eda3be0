#include "te/bench/nic_flags.h"

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/flag_values.h"
#include "te/nic_choice.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// The matrix that comes of the flags.
absl::StatusOr<std::string> Matrix(const FlagValues& flags) {
  TE_ASSIGN_OR_RETURN(
      NicOptions options,
      MakeNicOptions(flags, std::make_shared<const Machine>(
                                DiscoverTestMachineByXml("two_sockets"))));
  options.spread = 0;
  TE_ASSIGN_OR_RETURN(const NicChoice choice, ChooseNics(options));
  return choice.matrix.ToJson();
}

TEST(NicFlagsTest, WhatTheFlagsMean) {
  EXPECT_THAT(Matrix({}),
              IsOkAndHolds(HasSubstr(R"("cpu:1":[["mlx5_0"],[]])")));
  EXPECT_THAT(Matrix({.device_name = "enp59s0np0,mlx5_1"}),
              IsOkAndHolds(HasSubstr(R"("cpu:1":[["mlx5_0"],[]])")));
  EXPECT_THAT(Matrix({.exclude_device_name = "mlx5_0"}), IsOkAndHolds("{}"));
  EXPECT_THAT(Matrix({.device_name = "mlx5_1,mlx5_0", .auto_discovery = false}),
              IsOkAndHolds(R"({"*":[["mlx5_1","mlx5_0"],[]]})"));
  EXPECT_THAT(Matrix({.auto_discovery = false}), IsOkAndHolds("{}"));
}

TEST(NicFlagsTest, DevicesThatDoNotExistAreNotReplacedByOthers) {
  EXPECT_THAT(Matrix({.device_name = "erdma_0"}), IsOkAndHolds("{}"));
  EXPECT_THAT(Matrix({.device_name = "erdma_0,mlx5_0"}),
              IsOkAndHolds(HasSubstr(R"("*":[["mlx5_0"],[]])")));
}

TEST(NicFlagsTest, WithProtocolRdmaDevicesMustExist) {
  EXPECT_THAT(
      Matrix({.device_name = "mlx5_0,mlx5_7", .protocol = "rdma"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("--device_name: 'mlx5_7' is neither an RDMA "
                               "device nor a netdev of one"),
                     HasSubstr("mlx5_0 (port 1 ACTIVE on netdev enp59s0np0)"),
                     HasSubstr("mlx5_1 (port 1 "))));
  EXPECT_THAT(Matrix({.auto_discovery = false, .protocol = "rdma"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--device_name: protocol rdma needs it")));
  EXPECT_THAT(Matrix({.device_name = "mlx5_0", .protocol = "rdma"}),
              IsOkAndHolds(HasSubstr(R"("*":[["mlx5_0"],[]])")));
}

TEST(NicFlagsTest, EmptyNamesAloneAreToldApartFromNoFlag) {
  for (const char* names : {",,", " ", " , "}) {
    EXPECT_THAT(Matrix({.device_name = names, .protocol = "rdma"}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("--device_name: '"),
                               HasSubstr("has an empty name in it"))));
    EXPECT_THAT(Matrix({.device_name = names}), IsOkAndHolds("{}"));
  }
  EXPECT_THAT(Matrix({.device_name = ",mlx5_0,", .protocol = "rdma"}),
              IsOkAndHolds(HasSubstr(R"("*":[["mlx5_0"],[]])")));
}

TEST(NicFlagsTest, ADeviceNamedTwiceIsOne) {
  EXPECT_THAT(Matrix({.device_name = "mlx5_1, enp216s0np0,mlx5_1",
                      .auto_discovery = false}),
              IsOkAndHolds(R"({"*":[["mlx5_1"],[]]})"));
}

TEST(NicFlagsTest, AMatrixIsTextOrAFile) {
  const std::string json = R"( {"cpu:0": [["mlx5_1"], []]})";
  EXPECT_THAT(Matrix({.nic_priority_matrix = json}),
              IsOkAndHolds(R"({"cpu:0":[["mlx5_1"],[]]})"));
  const std::string path = testing::TempDir() + "/matrix.json";
  std::ofstream(path) << json;
  EXPECT_THAT(Matrix({.device_name = "mlx5_0", .nic_priority_matrix = path}),
              IsOkAndHolds(R"({"cpu:0":[["mlx5_1"],[]]})"));
}

TEST(NicFlagsTest, ErrorsNameTheFlag) {
  EXPECT_THAT(Matrix({.nic_priority_matrix = "/nonexistent"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--nic_priority_matrix: "),
                             HasSubstr("/nonexistent"))));
  EXPECT_THAT(
      Matrix({.nic_priority_matrix = R"({"cpu:0": [["mlx5_7"], []]})"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("--nic_priority_matrix: 'mlx5_7' is neither")));
  EXPECT_THAT(Matrix({.nic_priority_matrix = "/dev/null"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--nic_priority_matrix: ")));
  // Whatever else is wrong.
  EXPECT_THAT(
      Matrix({.device_name = "erdma_0", .exclude_device_name = "mlx5_7"}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("--exclude_device_name: 'mlx5_7'")));
  EXPECT_THAT(
      Matrix({.exclude_device_name = "mlx5_0", .auto_discovery = false}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("--exclude_device_name: goes with")));
  EXPECT_THAT(Matrix({.exclude_device_name = "mlx5_7"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--exclude_device_name: 'mlx5_7'")));
}

}  // namespace
}  // namespace te::bench
