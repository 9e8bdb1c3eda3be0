#include "te/nic_choice.h"

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

using ::testing::HasSubstr;

NicOptions On(const char* machine) {
  return {.spread = 0,
          .machine = std::make_shared<const Machine>(
              DiscoverTestMachineByXml(machine))};
}

absl::StatusOr<PriorityMatrix> Matrix(const NicOptions& options) {
  TE_ASSIGN_OR_RETURN(NicChoice choice, ChooseNics(options));
  return std::move(choice.matrix);
}

TEST(NicChoiceTest, ByDistance) {
  NicOptions options = On("two_sockets");
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix, Matrix(options));
  EXPECT_EQ(matrix.ToJson(), R"({"*":[["mlx5_0"],[]],"cpu:0":[["mlx5_0"],[]],)"
                             R"("cpu:1":[["mlx5_0"],[]]})");
  options = On("eight_gpus");
  options.allowed = {"ib4", "mlx5_5"};
  options.denied = {"mlx5_0"};
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix chosen, Matrix(options));
  EXPECT_EQ(chosen.preferences().at(MemoryLocation::Cuda(5)),
            (NicPreference{{"mlx5_5"}, {"mlx5_4"}}));
}

TEST(NicChoiceTest, AsGiven) {
  NicOptions options = On("two_sockets");
  options.by_distance = false;
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix none, Matrix(options));
  EXPECT_EQ(none.ToJson(), "{}");
  options.allowed = {"enp216s0np0", "mlx5_0"};
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix, Matrix(options));
  EXPECT_EQ(matrix.ToJson(), R"({"*":[["mlx5_1","mlx5_0"],[]]})");
  options.denied = {"mlx5_1"};
  EXPECT_THAT(ChooseNics(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("denied")));
}

TEST(NicChoiceTest, AMatrixReplacesDiscovery) {
  NicOptions options = On("two_sockets");
  options.priority_matrix = R"({"cpu:0": [["enp216s0np0"], ["mlx5_0"]]})";
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix, Matrix(options));
  EXPECT_EQ(matrix.ToJson(), R"({"cpu:0":[["mlx5_1"],["mlx5_0"]]})");
  options.allowed = {"mlx5_0"};
  EXPECT_THAT(ChooseNics(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("beside it")));
}

TEST(NicChoiceTest, UnknownNicsAreErrors) {
  NicOptions options = On("one_socket");
  options.allowed = {"mlx5_0"};
  EXPECT_THAT(ChooseNics(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'mlx5_0'")));
  options.by_distance = false;
  EXPECT_THAT(ChooseNics(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'mlx5_0'")));
  options = On("one_socket");
  options.priority_matrix = R"({"cpu:0": [["mlx5_0"], []]})";
  EXPECT_THAT(ChooseNics(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'mlx5_0'")));
  options.priority_matrix = "mlx5_0";
  EXPECT_THAT(ChooseNics(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")));
}

TEST(NicChoiceTest, EnginesOfAHostBeginWithDifferentNics) {
  NicOptions options = On("eight_gpus");
  options.spread.reset();
  std::set<std::string> first;
  // All alike once in 4^31.
  for (int i = 0; i < 32; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix, Matrix(options));
    first.insert(
        matrix.preferences().at(MemoryLocation::Cpu(0)).preferred.front());
  }
  EXPECT_GT(first.size(), 1U);
}

TEST(NicChoiceTest, DiscoversThisMachineByItself) {
  EXPECT_TRUE(ChooseNics({}).ok());
}

}  // namespace
}  // namespace te
