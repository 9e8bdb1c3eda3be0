#include "te/metadata/in_process_store.h"

#include <chrono>
#include <memory>
#include <optional>

#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/fake_clock.h"
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

TEST(InProcessStoreTest, IsFullByBytesToo) {
  InProcessStore store({.max_bytes = 10});
  TE_EXPECT_OK(store.Put("a", "12345", {}, kNoDeadline));
  const auto full = StatusIs(absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(store.Put("b", "1234", {}, kNoDeadline), full);
  TE_EXPECT_OK(store.Put("b", "123", {}, kNoDeadline));
  // A value that takes the place of another needs only the difference.
  TE_EXPECT_OK(store.Put("a", "54321", {}, kNoDeadline));
  EXPECT_THAT(store.Put("a", "123456", {}, kNoDeadline), full);
  TE_EXPECT_OK(store.Remove("b", std::nullopt, kNoDeadline));
  TE_EXPECT_OK(store.Put("a", "123456789", {}, kNoDeadline));
}

TEST(InProcessStoreTest, SweepingMakesRoom) {
  FakeClock clock;
  InProcessStore store({.max_bytes = 10}, clock);
  TE_EXPECT_OK(store.Put("a", "123456789", {.lease = std::chrono::seconds(1)},
                         kNoDeadline));
  clock.Advance(std::chrono::seconds(1));
  store.Sweep();
  EXPECT_EQ(store.Export().entries.size(), 0u);
  TE_EXPECT_OK(store.Put("b", "123456789", {}, kNoDeadline));
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
