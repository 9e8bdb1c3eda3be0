#include "te/topology/priority_matrix.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Names(const PriorityMatrix& matrix,
                               absl::Span<const uint16_t> nics) {
  std::vector<std::string> names;
  for (const uint16_t nic : nics) names.push_back(matrix.nics().at(nic));
  return names;
}

TEST(PriorityMatrixTest, FindsTheNicsForALocation) {
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix matrix,
      PriorityMatrix::FromJson(
          R"({"cpu:0": [["a", "b"], ["c"]], "cpu:2": [["c"], []],
              "cuda:1": [[], ["b"]], "*": [["d"], ["a"]]})"));
  const auto row = [&](MemoryLocation location) {
    return matrix.Find(location);
  };
  const PriorityMatrix::Row zero = row(MemoryLocation::Cpu(0));
  EXPECT_THAT(Names(matrix, zero.preferred()), ElementsAre("a", "b"));
  EXPECT_THAT(Names(matrix, zero.fallback()), ElementsAre("c"));
  const PriorityMatrix::Row two = row(MemoryLocation::Cpu(2));
  EXPECT_THAT(Names(matrix, two.preferred()), ElementsAre("c"));
  EXPECT_THAT(Names(matrix, two.fallback()), IsEmpty());
  const PriorityMatrix::Row gpu = row(MemoryLocation::Cuda(1));
  EXPECT_THAT(Names(matrix, gpu.preferred()), IsEmpty());
  EXPECT_THAT(Names(matrix, gpu.fallback()), ElementsAre("b"));
  for (const MemoryLocation unknown :
       {MemoryLocation(), MemoryLocation::Cpu(1), MemoryLocation::Cpu(3),
        MemoryLocation::Cuda(0), MemoryLocation::Cuda(UINT16_MAX)}) {
    const PriorityMatrix::Row any = row(unknown);
    EXPECT_THAT(Names(matrix, any.preferred()), ElementsAre("d"))
        << unknown.ToString();
    EXPECT_THAT(Names(matrix, any.fallback()), ElementsAre("a"));
  }
}

TEST(PriorityMatrixTest, WithoutAnywhereAllNicsServeUnknownLocations) {
  TE_ASSERT_OK_AND_ASSIGN(
      const PriorityMatrix matrix,
      PriorityMatrix::FromJson(
          R"({"cpu:0": [["a"], ["c", "b"]], "cpu:1": [["b"], ["a"]]})"));
  const PriorityMatrix::Row& any = matrix.Find(MemoryLocation());
  EXPECT_THAT(Names(matrix, any.preferred()), ElementsAre("a", "b"));
  EXPECT_THAT(Names(matrix, any.fallback()), ElementsAre("c"));
}

TEST(PriorityMatrixTest, AnEmptyOneHasNoNics) {
  const PriorityMatrix matrix;
  EXPECT_THAT(matrix.nics(), IsEmpty());
  EXPECT_THAT(matrix.Find(MemoryLocation::Cpu(0)).preferred(), IsEmpty());
  EXPECT_EQ(matrix.ToJson(), "{}");
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix created,
                          PriorityMatrix::Create({}));
  EXPECT_THAT(created.Find(MemoryLocation()).fallback(), IsEmpty());
}

TEST(PriorityMatrixTest, ReadsBothFormsAndPrintsTheOneWithLists) {
  constexpr absl::string_view kLists =
      R"({"*":[["mlx5_0"],[]],"cpu:2":[["mlx5_0"],["mlx5_1"]],)"
      R"("cpu:10":[[],["mlx5_1"]]})";
  for (const absl::string_view json :
       {kLists, absl::string_view(
                    R"({"cpu:10": {"fallback": ["mlx5_1"]},
                "cpu:2": {"preferred": ["mlx5_0"], "fallback": ["mlx5_1"]},
                "*": {"preferred": ["mlx5_0"], "fallback": []}})")}) {
    TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix,
                            PriorityMatrix::FromJson(json));
    EXPECT_EQ(matrix.ToJson(), kLists);
  }
}

// nlohmann took it for {"a": "b", "c": "d"}.
TEST(PriorityMatrixTest, PrintsTwoPairsOfNamesAsLists) {
  constexpr absl::string_view kPairs = R"({"cpu:0":[["a","b"],["c","d"]]})";
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix matrix,
                          PriorityMatrix::FromJson(kPairs));
  EXPECT_EQ(matrix.ToJson(), kPairs);
}

struct Bad {
  std::string json;
  const char* complaint;
};

TEST(PriorityMatrixTest, SaysWhatIsWrong) {
  const Bad cases[] = {
      {"", "is no JSON"},
      {"mlx5_0", "is no JSON"},
      {R"({"cpu:0": [["a"], []]} x)", "is no JSON"},
      {"[]", "is no JSON object"},
      {"{}", "is empty"},
      {R"({"gpu:0": [["a"], []]})", "unknown memory location 'gpu:0'"},
      {R"({"cpu:0": "a"})", "has for cpu:0 no list of two lists"},
      {R"({"cpu:0": ["a"]})", "has for cpu:0 no list of two lists"},
      {R"({"cpu:0": [["a"], [], []]})", "has for cpu:0 no list of two lists"},
      {R"({"cpu:0": ["a", "b"]})", "has no list of NICs for cpu:0"},
      {R"({"cpu:0": [["a"], [1]]})", "has for cpu:0 something that is no name"},
      {R"({"cpu:0": {"best": ["a"]}})", "the unknown key 'best'"},
      {R"({"cpu:0": [[], []]})", "has no NIC for cpu:0"},
      {R"({"cpu:0": {}})", "has no NIC for cpu:0"},
      {R"({"cpu:0": [["a", "b"], ["a"]]})", "has a more than once for cpu:0"},
      {R"({"cpu:0": [["a"], []], "cpu:0": [["b"], []]})",
       "has 'cpu:0' more than once"},
      {R"({"cpu:1": [["a"], []], "cpu:01": [["b"], []]})",
       "has a location more than once"},
      {R"({"cpu:0": [["a b"], []]})",
       "has 'a b' for cpu:0, which is no device"},
      {R"({"cpu:0": [[""], []]})", "has '' for cpu:0"},
      {std::string(2 << 20, ' '), "has more than 98304 bytes"},
      {std::string(90000, '['), "is no JSON"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(
        PriorityMatrix::FromJson(bad.json),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(bad.complaint)))
        << bad.json.substr(0, 100);
  }
}

TEST(PriorityMatrixTest, HasLimits) {
  PriorityMatrix::Preferences many;
  for (int i = 0; i < 1025; ++i) {
    many[MemoryLocation::Cpu(static_cast<uint16_t>(i))] = {{"a"}, {}};
  }
  EXPECT_THAT(PriorityMatrix::Create(many),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 1024 locations")));
  PriorityMatrix::Preferences wide;
  for (int i = 0; i < 257; ++i) {
    wide[MemoryLocation()].preferred.push_back(absl::StrCat("mlx5_", i));
  }
  EXPECT_THAT(PriorityMatrix::Create(wide),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 256 NICs for *")));
  PriorityMatrix::Preferences different;
  for (int i = 0; i < 1024; ++i) {
    const std::string name = absl::StrCat("mlx5_", i);
    different[MemoryLocation::Cpu(static_cast<uint16_t>(i / 16))]
        .preferred.push_back(name);
  }
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix full,
                          PriorityMatrix::Create(different));
  const PriorityMatrix::Row& last = full.Find(MemoryLocation::Cpu(63));
  EXPECT_EQ(full.nics().at(last.preferred().back()), "mlx5_1023");
  different[MemoryLocation::Cpu(64)].preferred = {"mlx5_1024"};
  EXPECT_THAT(PriorityMatrix::Create(different),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 1024 different NICs")));
}

}  // namespace
}  // namespace te
