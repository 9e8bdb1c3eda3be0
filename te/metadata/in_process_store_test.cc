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

TEST(InProcessStoreTest, TakesOverWhatAnotherHeld) {
  InProcessStore first;
  TE_ASSERT_OK(first.Put("a", "1", {}, kNoDeadline));
  TE_ASSERT_OK(first.Put("b", "2", {}, kNoDeadline));
  InProcessStore second;
  TE_ASSERT_OK(second.Put("gone", "", {}, kNoDeadline));
  TE_ASSERT_OK(second.Import(first.Export()));
  EXPECT_EQ(second.Export(), first.Export());
}

TEST(InProcessStoreTest, TakesNothingThatNoStoreHolds) {
  const StoreContents::Entry a = {.key = "a", .stored = {.version = 1}};
  const StoreContents::Entry b = {.key = "b", .stored = {.version = 2}};
  StoreContents::Entry unnamed = a;
  unnamed.key = "";
  StoreContents::Entry absent = a;
  absent.stored.version = MetadataStore::kAbsent;
  StoreContents::Entry endless = a;
  endless.lease = 2 * MetadataStore::kMaxLease;
  InProcessStore store({.max_keys = 2});
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(store.Import({{b, a}, 2}), refused);
  EXPECT_THAT(store.Import({{a, a}, 2}), refused);
  EXPECT_THAT(store.Import({{a, b}, 1}), refused);
  for (const auto& bad : {unnamed, absent, endless}) {
    EXPECT_THAT(store.Import({{bad}, 2}), refused);
  }
  StoreContents::Entry c = b;
  c.key = "c";
  EXPECT_THAT(store.Import({{a, b, c}, 2}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(store.Export(), StoreContents{});
  TE_EXPECT_OK(store.Import({{a, b}, 2}));
}

}  // namespace
}  // namespace te
