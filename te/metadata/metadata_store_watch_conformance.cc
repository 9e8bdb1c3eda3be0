// The part of metadata_store_conformance that is about watches.

#include <stdint.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_store_conformance.h"
#include "te/metadata/watch_events.h"

namespace te {
namespace {

TEST_P(MetadataStoreConformance, AWatchTellsOfPuts) {
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t first,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", first));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t second,
                          store_->Put("k", {{3, "2"}}, {}, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", second));
}

TEST_P(MetadataStoreConformance, AWatchTellsOfRemovals) {
  TE_ASSERT_OK(store_->Put("k", {{0, "1"}}, {}, deadline_));
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK(store_->Remove("k", std::nullopt, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", MetadataStore::kAbsent));
}

TEST_P(MetadataStoreConformance, AWatchTellsOfItsKeyAlone) {
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "a*"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  for (const char* key : {"a*b", "ab", "a", "b"}) {
    TE_ASSERT_OK(store_->Put(key, {{0, "1"}}, {}, deadline_));
  }
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store_->Put("a*", {{0, "1"}}, {}, deadline_));
  ASSERT_TRUE(events.AwaitChange("a*", version));
  for (const char* key : {"a*b", "ab", "a", "b"}) {
    EXPECT_FALSE(events.HasChangeOf(key)) << key;
  }
}

TEST_P(MetadataStoreConformance, AWatchOfAPrefixTellsOfAllBelow) {
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(
      const auto watch,
      store_->Watch({.key = "a*", .prefix = true}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  TE_ASSERT_OK(store_->Put("ab", {{0, "1"}}, {}, deadline_));
  const std::string binary("a*\0\n\xff", 5);
  for (const std::string& key : {std::string("a*"), binary}) {
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put(key, {{0, "1"}}, {}, deadline_));
    EXPECT_TRUE(events.AwaitChange(key, version));
  }
  EXPECT_FALSE(events.HasChangeOf("ab"));
}

// The order of a change, its event and its reading that caches rely on.
TEST_P(MetadataStoreConformance, AnEventComesAfterItsChange) {
  WatchEvents events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegun());
  for (int i = 0; i < 100; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put("k", {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(events.AwaitChange("k", version));
    TE_ASSERT_OK_AND_ASSIGN(const StoredValue value,
                            store_->Get("k", {}, deadline_));
    ASSERT_EQ(value.version, version);
  }
}

TEST_P(MetadataStoreConformance, SeveralWatchesOfOneKey) {
  WatchEvents first, second;
  TE_ASSERT_OK_AND_ASSIGN(auto watch,
                          store_->Watch({.key = "k"}, first.callback()));
  ASSERT_TRUE(first.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const auto other,
                          store_->Watch({.key = "k"}, second.callback()));
  ASSERT_TRUE(second.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(uint64_t version,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  EXPECT_TRUE(first.AwaitChange("k", version));
  EXPECT_TRUE(second.AwaitChange("k", version));
  watch.reset();
  const size_t told = first.count();
  TE_ASSERT_OK_AND_ASSIGN(version, store_->Put("k", {{0, "2"}}, {}, deadline_));
  EXPECT_TRUE(second.AwaitChange("k", version));
  EXPECT_EQ(first.count(), told);
}

TEST_P(MetadataStoreConformance, AKeyCanBeWatchedAgain) {
  for (int i = 0; i < 10; ++i) {
    WatchEvents events;
    TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                            store_->Watch({.key = "k"}, events.callback()));
    ASSERT_TRUE(events.AwaitBegun());
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put("k", {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(events.AwaitChange("k", version));
  }
}

TEST_P(MetadataStoreConformance, ManyKeysCanBeWatched) {
  constexpr int kKeys = 1000;
  std::vector<WatchEvents> events(kKeys);
  std::vector<std::unique_ptr<StoreWatch>> watches;
  for (int i = 0; i < kKeys; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(
        auto watch, store_->Watch({.key = absl::StrCat("many/", i)},
                                  events[static_cast<size_t>(i)].callback()));
    watches.push_back(std::move(watch));
  }
  for (WatchEvents& e : events) ASSERT_TRUE(e.AwaitBegun());
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = absl::StrCat("many/", i);
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put(key, {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(events[static_cast<size_t>(i)].AwaitChange(key, version));
  }
}

TEST_P(MetadataStoreConformance, RefusesToWatchWhatIsNoKey) {
  const std::string long_key(MetadataStore::kMaxKeyBytes + 1, 'k');
  for (const std::string& key : {std::string(), long_key}) {
    EXPECT_THAT(store_->Watch({.key = key}, [](const WatchEvent&) {}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace te
