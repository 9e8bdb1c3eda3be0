// The part of metadata_store_conformance that is about values of several parts.

#include <stdint.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_store_conformance.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_P(MetadataStoreConformance, PutChangesTheNamedParts) {
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t first,
      store_->Put("k", {{0, "head"}, {2, "two"}, {7, "seven"}}, {}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {}, deadline_),
      IsOkAndHolds(StoredValue{
          .version = first, .parts = {{0, "head"}, {2, "two"}, {7, "seven"}}}));
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t second,
      store_->Put("k", {{1, "one"}, {2, "2"}, {7, ""}}, {}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {}, deadline_),
      IsOkAndHolds(StoredValue{.version = second,
                               .parts = {{0, "head"}, {1, "one"}, {2, "2"}}}));
}

TEST_P(MetadataStoreConformance, PutWithReplaceEmptiesTheOthers) {
  TE_ASSERT_OK(store_->Put("k", {{0, "a"}, {1, "b"}}, {}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t version,
      store_->Put("k", {{2, "c"}}, {.replace = true}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {}, deadline_),
      IsOkAndHolds(StoredValue{.version = version, .parts = {{2, "c"}}}));
}

TEST_P(MetadataStoreConformance, GetTellsWhatHasChangedSince) {
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t first,
      store_->Put("k", {{0, "a"}, {1, "b"}, {2, "c"}}, {}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {.since = first}, deadline_),
      IsOkAndHolds(StoredValue{.version = first, .parts = {}, .whole = false}));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t second,
                          store_->Put("k", {{1, "B"}}, {}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t third,
                          store_->Put("k", {{2, ""}}, {}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {.since = first}, deadline_),
      IsOkAndHolds(StoredValue{
          .version = third, .parts = {{1, "B"}, {2, ""}}, .whole = false}));
  EXPECT_THAT(store_->Get("k", {.since = second}, deadline_),
              IsOkAndHolds(StoredValue{
                  .version = third, .parts = {{2, ""}}, .whole = false}));
}

// Otherwise a reader would keep parts that are gone.
TEST_P(MetadataStoreConformance, GetTellsAllOfWhatWasReplacedSince) {
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t first,
      store_->Put("k", {{0, "a"}, {1, "b"}}, {}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t second,
      store_->Put("k", {{0, "A"}}, {.replace = true}, deadline_));
  EXPECT_THAT(
      store_->Get("k", {.since = first}, deadline_),
      IsOkAndHolds(StoredValue{.version = second, .parts = {{0, "A"}}}));
  TE_ASSERT_OK(store_->Remove("k", second, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t third,
                          store_->Put("k", {{0, "x"}}, {}, deadline_));
  EXPECT_THAT(store_->Get("k", {.since = second}, deadline_),
              IsOkAndHolds(StoredValue{.version = third, .parts = {{0, "x"}}}));
  // A version that was never given.
  EXPECT_THAT(store_->Get("k", {.since = third + 1000}, deadline_),
              IsOkAndHolds(StoredValue{.version = third, .parts = {{0, "x"}}}));
}

TEST_P(MetadataStoreConformance, LongAnswersComeInPieces) {
  const std::string bytes(100, 'x');
  std::vector<ValuePartView> parts;
  for (uint32_t i = 0; i < 10; ++i) parts.push_back({i, bytes});
  TE_ASSERT_OK(store_->Put("k", parts, {}, deadline_));
  std::vector<size_t> pieces;
  uint32_t next = 0;
  do {
    TE_ASSERT_OK_AND_ASSIGN(
        const StoredValue value,
        store_->Get("k", {.first_part = next, .max_bytes = 350}, deadline_));
    ASSERT_FALSE(value.parts.empty());
    EXPECT_EQ(value.parts.front().number, next);
    pieces.push_back(value.parts.size());
    next = value.next_part;
  } while (next != 0);
  EXPECT_THAT(pieces, ElementsAre(3, 3, 3, 1));
  TE_ASSERT_OK_AND_ASSIGN(const StoredValue least,
                          store_->Get("k", {.max_bytes = 0}, deadline_));
  EXPECT_THAT(least.parts, SizeIs(1));
  EXPECT_EQ(least.next_part, 1u);
}

TEST_P(MetadataStoreConformance, LongChangesComeInPieces) {
  const std::string bytes(100, 'x');
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t first,
      store_->Put("k", {{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}}, {},
                  deadline_));
  TE_ASSERT_OK(store_->Put("k", {{1, bytes}, {3, bytes}}, {}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(
      const StoredValue one,
      store_->Get("k", {.since = first, .max_bytes = 150}, deadline_));
  EXPECT_THAT(one.parts, ElementsAre(ValuePart{1, bytes}));
  EXPECT_EQ(one.next_part, 3u);
  TE_ASSERT_OK_AND_ASSIGN(
      const StoredValue other,
      store_->Get("k", {.since = first, .first_part = 3, .max_bytes = 150},
                  deadline_));
  EXPECT_THAT(other.parts, ElementsAre(ValuePart{3, bytes}));
  EXPECT_EQ(other.next_part, 0u);
}

TEST_P(MetadataStoreConformance, TakesAsManyPartsAsThereMayBe) {
  std::vector<ValuePartView> parts;
  for (uint32_t i = 0; i < MetadataStore::kMaxParts; ++i) {
    parts.push_back({i, "x"});
  }
  TE_ASSERT_OK(store_->Put("k", parts, {}, deadline_));
  EXPECT_THAT(store_->Get("k", {}, deadline_)->parts,
              SizeIs(MetadataStore::kMaxParts));
}

TEST_P(MetadataStoreConformance, RefusesPartsThatAreNone) {
  const std::string half(MetadataStore::kMaxValueBytes / 2 + 1, 'x');
  const std::vector<std::vector<ValuePartView>> bad = {
      {{MetadataStore::kMaxParts, "x"}},
      {{1, "x"}, {1, "x"}},
      {{1, "x"}, {0, "x"}},
      {{0, half}, {1, half}},
  };
  for (const std::vector<ValuePartView>& parts : bad) {
    EXPECT_THAT(store_->Put("k", parts, {}, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'k'")));
  }
  EXPECT_THAT(store_->Get("k", {}, deadline_),
              StatusIs(absl::StatusCode::kNotFound));
}

// A value may have more bytes than one call carries.
TEST_P(MetadataStoreConformance, ValuesMayBeLargerThanACall) {
  const std::string bytes(MetadataStore::kMaxValueBytes, 'x');
  TE_ASSERT_OK(store_->Put("k", {{0, bytes}}, {}, deadline_));
  TE_ASSERT_OK(store_->Put("k", {{1, bytes}}, {}, deadline_));
  for (uint32_t part : {0, 1}) {
    TE_ASSERT_OK_AND_ASSIGN(
        const StoredValue value,
        store_->Get("k", {.first_part = part, .max_bytes = SIZE_MAX},
                    deadline_));
    EXPECT_TRUE(value.parts == (std::vector<ValuePart>{{part, bytes}}));
    EXPECT_EQ(value.next_part, part == 0 ? 1u : 0u);
  }
}

TEST_P(MetadataStoreConformance, VersionsBeginWithTheClock) {
  constexpr uint64_t kHour = 3'600'000'000;
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store_->Put("k", {{0, "x"}}, {}, deadline_));
  EXPECT_GT(version, FirstVersion() - kHour);
  EXPECT_LT(version, FirstVersion() + kHour);
}

TEST_P(MetadataStoreConformance, GetManyKeepsTheOrder) {
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back(absl::StrCat("k", i));
    if (i == 7) continue;
    TE_ASSERT_OK(store_->Put(keys.back(), {{0, keys.back()}, {1, "more"}}, {},
                             deadline_));
  }
  const auto values = store_->GetMany(keys, {.max_bytes = 1}, deadline_);
  ASSERT_THAT(values, SizeIs(keys.size()));
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == 7) {
      EXPECT_THAT(values[i], StatusIs(absl::StatusCode::kNotFound));
      continue;
    }
    TE_ASSERT_OK(values[i]);
    EXPECT_THAT(values[i]->parts, ElementsAre(ValuePart{0, keys[i]}));
    EXPECT_EQ(values[i]->next_part, 1u);
  }
  EXPECT_THAT(store_->GetMany({}, {}, deadline_), IsEmpty());
}

}  // namespace
}  // namespace te
