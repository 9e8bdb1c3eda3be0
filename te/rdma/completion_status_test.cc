#include "te/rdma/completion_status.h"

#include <infiniband/verbs.h>

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::rdma {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

TEST(CompletionStatusTest, SuccessIsOk) {
  TE_EXPECT_OK(CompletionStatus(IBV_WC_SUCCESS, 7, "what", "path"));
}

TEST(CompletionStatusTest, EachStatusHasATextOfItsOwn) {
  std::set<std::string> texts;
  for (int status = IBV_WC_SUCCESS + 1; status <= IBV_WC_GENERAL_ERR;
       ++status) {
    const absl::Status result = CompletionStatus(
        static_cast<ibv_wc_status>(status), 0x1f, "WHAT", "PATH");
    EXPECT_FALSE(result.ok());
    EXPECT_THAT(
        std::string(result.message()),
        AllOf(HasSubstr("WHAT over PATH: "), HasSubstr("vendor error 0x1f"),
              HasSubstr("status " + std::to_string(status) + ","),
              testing::Not(HasSubstr("does not know"))));
    texts.emplace(result.message());
  }
  EXPECT_EQ(texts.size(), IBV_WC_GENERAL_ERR);
}

// What is the request's own fault is not tried again on another path.
TEST(CompletionStatusTest, OnlyMemoryIsToBlameForErrorsOfARequest) {
  const std::map<ibv_wc_status, StatusCode> own = {
      {IBV_WC_LOC_LEN_ERR, StatusCode::kFailedPrecondition},
      {IBV_WC_LOC_PROT_ERR, StatusCode::kFailedPrecondition},
      {IBV_WC_LOC_ACCESS_ERR, StatusCode::kFailedPrecondition},
      {IBV_WC_REM_ACCESS_ERR, StatusCode::kNotFound}};
  for (int i = IBV_WC_SUCCESS + 1; i <= IBV_WC_GENERAL_ERR; ++i) {
    const auto status = static_cast<ibv_wc_status>(i);
    const auto found = own.find(status);
    EXPECT_EQ(CompletionStatus(status, 0, "", "").code(),
              found == own.end() ? StatusCode::kUnavailable : found->second)
        << "status " << i;
  }
}

TEST(CompletionStatusTest, StatusesOfNewerDevicesAreUnavailable) {
  for (const int status : {IBV_WC_TM_ERR, IBV_WC_TM_RNDV_INCOMPLETE}) {
    EXPECT_THAT(
        CompletionStatus(static_cast<ibv_wc_status>(status), 0, "", ""),
        StatusIs(StatusCode::kUnavailable, HasSubstr("unknown status")));
  }
}

}  // namespace
}  // namespace te::rdma
