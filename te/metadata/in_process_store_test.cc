#include "te/metadata/in_process_store.h"

#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store_conformance.h"

namespace te {
namespace {

using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(InProcess, MetadataStoreConformance,
                         testing::Values([] {
                           return std::make_unique<InProcessStore>();
                         }));

TEST(InProcessStoreTest, IsBounded) {
  InProcessStore store({.max_keys = 1});
  TE_ASSERT_OK(store.Put("a", "", {}, kNoDeadline).status());
  EXPECT_THAT(
      store.Put("b", "", {}, kNoDeadline),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_keys")));
  TE_EXPECT_OK(store.Put("a", "x", {}, kNoDeadline).status());
  TE_ASSERT_OK(store.Remove("a", std::nullopt, kNoDeadline));
  TE_EXPECT_OK(store.Put("b", "", {}, kNoDeadline).status());
}

}  // namespace
}  // namespace te
