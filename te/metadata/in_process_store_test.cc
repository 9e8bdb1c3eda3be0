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
  TE_ASSERT_OK(store.Put("a", {}, {}, kNoDeadline).status());
  EXPECT_THAT(
      store.Put("b", {}, {}, kNoDeadline),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_keys")));
  TE_EXPECT_OK(store.Put("a", {{0, "x"}}, {}, kNoDeadline).status());
  TE_ASSERT_OK(store.Remove("a", std::nullopt, kNoDeadline));
  TE_EXPECT_OK(store.Put("b", {}, {}, kNoDeadline).status());
}

// For so many keys and parts, and so many bytes in them.
InProcessStoreOptions RoomFor(size_t keys, size_t parts, size_t bytes) {
  return {.max_bytes = keys * InProcessStore::kBesideKey +
                       parts * InProcessStore::kBesidePart + bytes};
}

TEST(InProcessStoreTest, IsFullByBytesToo) {
  InProcessStore store(RoomFor(2, 2, 10));
  TE_EXPECT_OK(store.Put("a", {{0, "12345"}}, {}, kNoDeadline));
  const auto full = StatusIs(absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(store.Put("b", {{0, "1234"}}, {}, kNoDeadline), full);
  TE_EXPECT_OK(store.Put("b", {{0, "123"}}, {}, kNoDeadline));
  // A value that takes the place of another needs only the difference.
  TE_EXPECT_OK(store.Put("a", {{0, "54321"}}, {}, kNoDeadline));
  EXPECT_THAT(store.Put("a", {{0, "123456"}}, {}, kNoDeadline), full);
  TE_EXPECT_OK(store.Remove("b", std::nullopt, kNoDeadline));
  TE_EXPECT_OK(store.Put("a", {{0, "123456789"}}, {}, kNoDeadline));
}

// Otherwise bytes would not bound memory.
TEST(InProcessStoreTest, CountsWhatStandsBesideTheBytes) {
  InProcessStore store(RoomFor(1, 10, 11));
  std::vector<ValuePartView> parts;
  for (uint32_t i = 0; i < 11; ++i) parts.push_back({i, "x"});
  EXPECT_THAT(store.Put("a", parts, {}, kNoDeadline),
              StatusIs(absl::StatusCode::kResourceExhausted));
  parts.pop_back();
  TE_EXPECT_OK(store.Put("a", parts, {}, kNoDeadline));
  EXPECT_THAT(store.Put("b", {}, {}, kNoDeadline),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(InProcessStoreTest, KeepsNoPartsThatAlwaysWereEmpty) {
  InProcessStore store;
  TE_ASSERT_OK(store.Put("a", {{0, "x"}, {1, ""}}, {}, kNoDeadline));
  TE_ASSERT_OK(store.Put("a", {{2, ""}}, {}, kNoDeadline));
  EXPECT_EQ(store.Export().entries[0].parts.size(), 1u);
}

TEST(InProcessStoreTest, SweepingMakesRoom) {
  FakeClock clock;
  InProcessStore store(RoomFor(1, 1, 10), clock);
  TE_EXPECT_OK(store.Put("a", {{0, "123456789"}},
                         {.lease = std::chrono::seconds(1)}, kNoDeadline));
  clock.Advance(std::chrono::seconds(1));
  store.Sweep();
  EXPECT_EQ(store.Export().entries.size(), 0u);
  TE_EXPECT_OK(store.Put("b", {{0, "123456789"}}, {}, kNoDeadline));
}

TEST(InProcessStoreTest, CountsTheBytesOfParts) {
  InProcessStore store(RoomFor(1, 3, 10));
  TE_EXPECT_OK(store.Put("a", {{0, "123"}, {1, "456"}}, {}, kNoDeadline));
  TE_EXPECT_OK(store.Put("a", {{1, "456789"}}, {}, kNoDeadline));
  EXPECT_THAT(store.Put("a", {{2, "x"}}, {}, kNoDeadline),
              StatusIs(absl::StatusCode::kResourceExhausted));
  TE_EXPECT_OK(store.Put("a", {{1, ""}, {2, "x"}}, {}, kNoDeadline));
  TE_EXPECT_OK(
      store.Put("a", {{5, "123456789"}}, {.replace = true}, kNoDeadline));
}

TEST(InProcessStoreTest, TellsOfTheEndOfLeases) {
  FakeClock clock;
  InProcessStore store({}, clock);
  std::vector<uint64_t> told;
  TE_ASSERT_OK_AND_ASSIGN(
      const auto watch, store.Watch({.key = "a"}, [&](const WatchEvent& event) {
        if (event.kind == WatchEvent::Kind::kChanged) {
          told.push_back(event.version);
        }
      }));
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t version,
      store.Put("a", {}, {.lease = std::chrono::seconds(1)}, kNoDeadline));
  clock.Advance(std::chrono::seconds(1));
  store.Sweep();
  EXPECT_THAT(told, testing::ElementsAre(version, MetadataStore::kAbsent));
}

TEST(InProcessStoreTest, TakesOverWhatAnotherHeld) {
  InProcessStore first;
  TE_ASSERT_OK(first.Put("a", {{0, "1"}}, {}, kNoDeadline));
  TE_ASSERT_OK(first.Put("b", {{0, "2"}}, {}, kNoDeadline));
  InProcessStore second;
  TE_ASSERT_OK(second.Put("gone", {}, {}, kNoDeadline));
  TE_ASSERT_OK(first.Put("b", {{1, ""}, {3, "4"}}, {}, kNoDeadline));
  TE_ASSERT_OK(second.Import(first.Export()));
  EXPECT_EQ(second.Export().entries, first.Export().entries);
  // What was put after the export must not have its version given again.
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t last,
                          first.Put("c", {}, {}, kNoDeadline));
  EXPECT_THAT(second.Put("c", {}, {}, kNoDeadline),
              IsOkAndHolds(testing::Gt(last)));
}

TEST(InProcessStoreTest, TakesNothingThatNoStoreHolds) {
  const StoreContents::Entry a = {.key = "a", .version = 1, .replaced = 1};
  const StoreContents::Entry b = {.key = "b", .version = 2, .replaced = 2};
  StoreContents::Entry unnamed = a;
  unnamed.key = "";
  StoreContents::Entry absent = a;
  absent.version = MetadataStore::kAbsent;
  StoreContents::Entry from_later = a;
  from_later.parts = {{.part = {0, "x"}, .version = 2}};
  StoreContents::Entry disordered = a;
  disordered.parts = {{.part = {1, "x"}, .version = 1},
                      {.part = {0, "x"}, .version = 1}};
  StoreContents::Entry endless = a;
  endless.lease = 2 * MetadataStore::kMaxLease;
  InProcessStore store({.max_keys = 2});
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(store.Import({{b, a}, 2}), refused);
  EXPECT_THAT(store.Import({{a, a}, 2}), refused);
  EXPECT_THAT(store.Import({{a, b}, 1}), refused);
  for (const auto& bad : {unnamed, absent, from_later, disordered, endless}) {
    EXPECT_THAT(store.Import({{bad}, 2}), refused);
  }
  StoreContents::Entry c = b;
  c.key = "c";
  EXPECT_THAT(store.Import({{a, b, c}, 2}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(store.Export().entries, testing::IsEmpty());
  TE_EXPECT_OK(store.Import({{a, b}, 2}));
}

}  // namespace
}  // namespace te
