#include "te/metadata/metadata_store_conformance.h"

#include <stdint.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kAbsent = MetadataStore::kAbsent;

StoredValue OfOnePart(const std::string& bytes, uint64_t version) {
  return {.version = version, .parts = {{.number = 0, .bytes = bytes}}};
}

// What part 0 holds.
std::string Bytes(const absl::StatusOr<StoredValue>& stored) {
  return stored.ok() && stored->parts.size() == 1 ? stored->parts[0].bytes
                                                  : "not one part";
}

TEST_P(MetadataStoreConformance, GetReturnsWhatPutStored) {
  const std::string value("any\0 bytes \xff", 12);
  TE_ASSERT_OK_AND_ASSIGN(uint64_t version,
                          store_->Put("k", {{0, value}}, {}, deadline_));
  EXPECT_NE(version, kAbsent);
  EXPECT_THAT(store_->Get("k", {}, deadline_),
              IsOkAndHolds(OfOnePart(value, version)));
}

TEST_P(MetadataStoreConformance, EmptyValuesAreValues) {
  TE_ASSERT_OK(store_->Put("k", {{0, ""}}, {}, deadline_).status());
  TE_ASSERT_OK_AND_ASSIGN(StoredValue stored, store_->Get("k", {}, deadline_));
  EXPECT_THAT(stored.parts, IsEmpty());
}

TEST_P(MetadataStoreConformance, KeysAreBytes) {
  const std::string with_nul("k\0", 2);
  TE_ASSERT_OK(store_->Put("k", {{0, "1"}}, {}, deadline_).status());
  TE_ASSERT_OK(store_->Put(with_nul, {{0, "2"}}, {}, deadline_).status());
  EXPECT_EQ(Bytes(store_->Get("k", {}, deadline_)), "1");
  EXPECT_EQ(Bytes(store_->Get(with_nul, {}, deadline_)), "2");
}

TEST_P(MetadataStoreConformance, AMissingKeyIsNotFound) {
  EXPECT_THAT(store_->Get("nonesuch", {}, deadline_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nonesuch")));
  EXPECT_THAT(store_->Remove("nonesuch", std::nullopt, deadline_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nonesuch")));
}

TEST_P(MetadataStoreConformance, PutReplaces) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t first,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(uint64_t second,
                          store_->Put("k", {{0, "2"}}, {}, deadline_));
  EXPECT_GT(second, first);
  EXPECT_THAT(store_->Get("k", {}, deadline_),
              IsOkAndHolds(OfOnePart("2", second)));
}

TEST_P(MetadataStoreConformance, PutOfAnAbsentKeyHappensOnce) {
  TE_ASSERT_OK(
      store_->Put("k", {{0, "1"}}, {.expected_version = kAbsent}, deadline_)
          .status());
  EXPECT_THAT(
      store_->Put("k", {{0, "2"}}, {.expected_version = kAbsent}, deadline_),
      StatusIs(absl::StatusCode::kAborted, HasSubstr("'k'")));
  EXPECT_EQ(Bytes(store_->Get("k", {}, deadline_)), "1");
}

TEST_P(MetadataStoreConformance, PutComparesVersions) {
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t first,
      store_->Put("k", {{0, "1"}}, {.expected_version = kAbsent}, deadline_));
  TE_ASSERT_OK(
      store_->Put("k", {{0, "2"}}, {.expected_version = first}, deadline_)
          .status());
  EXPECT_THAT(
      store_->Put("k", {{0, "3"}}, {.expected_version = first}, deadline_),
      StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(
      store_->Put("other", {{0, "3"}}, {.expected_version = first}, deadline_),
      StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Bytes(store_->Get("k", {}, deadline_)), "2");
  EXPECT_THAT(store_->Get("other", {}, deadline_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(MetadataStoreConformance, RemoveRemoves) {
  TE_ASSERT_OK(store_->Put("k", {{0, "1"}}, {}, deadline_).status());
  TE_ASSERT_OK(store_->Remove("k", std::nullopt, deadline_));
  EXPECT_THAT(store_->Get("k", {}, deadline_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(MetadataStoreConformance, RemoveComparesVersions) {
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t first,
      store_->Put("k", {{0, "1"}}, {.expected_version = kAbsent}, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t second,
      store_->Put("k", {{0, "2"}}, {.expected_version = first}, deadline_));
  EXPECT_THAT(store_->Remove("k", first, deadline_),
              StatusIs(absl::StatusCode::kAborted));
  TE_EXPECT_OK(store_->Remove("k", second, deadline_));
}

TEST_P(MetadataStoreConformance, VersionsGrowAcrossRemoval) {
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t before,
      store_->Put("k", {{0, "1"}}, {.expected_version = kAbsent}, deadline_));
  TE_ASSERT_OK(store_->Remove("k", before, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t after,
      store_->Put("k", {{0, "1"}}, {.expected_version = kAbsent}, deadline_));
  EXPECT_GT(after, before);
}

TEST_P(MetadataStoreConformance, TakesKeysAndValuesUpToTheLimits) {
  const std::string key(MetadataStore::kMaxKeyBytes, 'k');
  const std::string value(MetadataStore::kMaxValueBytes, 'v');
  TE_ASSERT_OK(store_->Put(key, {{0, value}}, {}, deadline_).status());
  EXPECT_EQ(Bytes(store_->Get(key, {}, deadline_)), value);
}

TEST_P(MetadataStoreConformance, RefusesWhatExceedsTheLimits) {
  const std::string key(MetadataStore::kMaxKeyBytes + 1, 'k');
  const std::string value(MetadataStore::kMaxValueBytes + 1, 'v');
  for (const std::string& bad_key : {std::string(), key}) {
    EXPECT_THAT(store_->Put(bad_key, {{0, "v"}}, {}, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Get(bad_key, {}, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Remove(bad_key, std::nullopt, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(store_->Put("k", {{0, value}}, {}, deadline_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'k'")));
}

TEST_P(MetadataStoreConformance, APassedDeadlineChangesNothing) {
  const MonotonicTime past = RealClock().Now();
  TE_ASSERT_OK(store_->Put("k", {{0, "1"}}, {}, deadline_).status());
  EXPECT_THAT(store_->Put("k", {{0, "2"}}, {}, past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(store_->Get("k", {}, past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(store_->Remove("k", std::nullopt, past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Bytes(store_->Get("k", {}, deadline_)), "1");
}

// Waits until the key is gone.
bool AwaitExpiry(MetadataStore& store, absl::string_view key,
                 MonotonicTime deadline) {
  while (RealClock().Now() < deadline) {
    if (absl::IsNotFound(store.Get(key, {}, deadline).status())) return true;
    std::this_thread::yield();
  }
  return false;
}

TEST_P(MetadataStoreConformance, ALeaseEnds) {
  constexpr auto kLease = milliseconds(30);
  const MonotonicTime begin = RealClock().Now();
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t version,
      store_->Put("k", {{0, "1"}}, {.lease = kLease}, deadline_));
  ASSERT_TRUE(AwaitExpiry(*store_, "k", deadline_));
  EXPECT_GE(RealClock().Now() - begin, kLease);
  EXPECT_THAT(store_->Renew("k", version, kLease, deadline_),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Remove("k", std::nullopt, deadline_),
              StatusIs(absl::StatusCode::kNotFound));
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t next,
      store_->Put("k", {{0, "2"}}, {.expected_version = kAbsent}, deadline_));
  EXPECT_GT(next, version);
}

TEST_P(MetadataStoreConformance, RenewBeginsANewLease) {
  TE_ASSERT_OK_AND_ASSIGN(
      uint64_t version,
      store_->Put("k", {{0, "1"}}, {.lease = std::chrono::hours(1)},
                  deadline_));
  TE_ASSERT_OK(store_->Renew("k", version, milliseconds(30), deadline_));
  EXPECT_TRUE(AwaitExpiry(*store_, "k", deadline_));
}

TEST_P(MetadataStoreConformance, WhatIsRenewedForEverStays) {
  constexpr auto kLease = milliseconds(200);
  absl::Status renewed;
  uint64_t version = 0;
  do {
    // Again if this thread was too slow to renew it.
    TE_ASSERT_OK_AND_ASSIGN(
        version, store_->Put("k", {{0, "1"}}, {.lease = kLease}, deadline_));
    renewed = store_->Renew("k", version, Duration::zero(), deadline_);
  } while (absl::IsNotFound(renewed));
  TE_ASSERT_OK(renewed);
  EXPECT_FALSE(AwaitExpiry(*store_, "k", RealClock().Now() + 2 * kLease));
  EXPECT_THAT(store_->Get("k", {}, deadline_),
              IsOkAndHolds(OfOnePart("1", version)));
}

TEST_P(MetadataStoreConformance, APutEndsTheLeaseBefore) {
  constexpr auto kLease = milliseconds(50);
  TE_ASSERT_OK(
      store_->Put("k", {{0, "1"}}, {.lease = kLease}, deadline_).status());
  TE_ASSERT_OK(store_->Put("k", {{0, "2"}}, {}, deadline_).status());
  EXPECT_FALSE(AwaitExpiry(*store_, "k", RealClock().Now() + 2 * kLease));
}

TEST_P(MetadataStoreConformance, RenewComparesVersions) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t first,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  TE_ASSERT_OK(store_->Put("k", {{0, "2"}}, {}, deadline_).status());
  EXPECT_THAT(store_->Renew("k", first, milliseconds(1), deadline_),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_FALSE(AwaitExpiry(*store_, "k", RealClock().Now() + milliseconds(50)));
}

TEST_P(MetadataStoreConformance, RefusesLeasesBeyondTheLimits) {
  for (const Duration lease :
       {Duration(-1), MetadataStore::kMaxLease + Duration(1)}) {
    EXPECT_THAT(store_->Put("k", {{0, "1"}}, {.lease = lease}, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Renew("k", 1, lease, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_P(MetadataStoreConformance, ListsWhatBeginsWithThePrefix) {
  EXPECT_THAT(ListAll(*store_, "a", deadline_), IsOkAndHolds(IsEmpty()));
  for (const char* key : {"a/2", "a/1", "a", "b", "a*c", "A"}) {
    TE_ASSERT_OK(store_->Put(key, {}, {}, deadline_).status());
  }
  TE_ASSERT_OK(store_->Put("a/0", {}, {.lease = milliseconds(1)}, deadline_));
  ASSERT_TRUE(AwaitExpiry(*store_, "a/0", deadline_));
  EXPECT_THAT(ListAll(*store_, "a/", deadline_),
              IsOkAndHolds(ElementsAre("a/1", "a/2")));
  EXPECT_THAT(ListAll(*store_, "a", deadline_),
              IsOkAndHolds(ElementsAre("a", "a*c", "a/1", "a/2")));
  // Not a pattern.
  EXPECT_THAT(ListAll(*store_, "a*", deadline_),
              IsOkAndHolds(ElementsAre("a*c")));
  EXPECT_THAT(store_->List("", "", deadline_),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(MetadataStoreConformance, ListsBehindAKey) {
  for (const char* key : {"a/1", "a/2", "a/3", "b"}) {
    TE_ASSERT_OK(store_->Put(key, {}, {}, deadline_).status());
  }
  EXPECT_THAT(store_->List("a/", "a/1", deadline_),
              IsOkAndHolds(KeyList{.keys = {"a/2", "a/3"}}));
  EXPECT_THAT(store_->List("a/", "a/15", deadline_),
              IsOkAndHolds(KeyList{.keys = {"a/2", "a/3"}}));
  EXPECT_THAT(store_->List("a/", "A", deadline_),
              IsOkAndHolds(KeyList{.keys = {"a/1", "a/2", "a/3"}}));
  EXPECT_THAT(store_->List("a/", "b", deadline_), IsOkAndHolds(KeyList{}));
}

TEST_P(MetadataStoreConformance, ListsMany) {
  std::vector<std::string> keys;
  for (int i = 1000; i < 3000; ++i) {
    keys.push_back(absl::StrCat("many/", i, std::string(900, 'x')));
    TE_ASSERT_OK(store_->Put(keys.back(), {}, {}, deadline_).status());
  }
  TE_ASSERT_OK_AND_ASSIGN(const KeyList page,
                          store_->List("many/", "", deadline_));
  EXPECT_TRUE(page.more);
  EXPECT_LT(page.keys.size(), keys.size());
  EXPECT_THAT(ListAll(*store_, "many/", deadline_), IsOkAndHolds(keys));
}

// Adds one to the number under the key, by compare-and-set.
absl::Status Increment(MetadataStore& store, MonotonicTime deadline) {
  while (true) {
    TE_ASSIGN_OR_RETURN(StoredValue stored, store.Get("count", {}, deadline));
    int count = 0;
    if (!absl::SimpleAtoi(Bytes(stored), &count)) {
      return absl::DataLossError(Bytes(stored));
    }
    absl::StatusOr<uint64_t> put =
        store.Put("count", {{0, std::to_string(count + 1)}},
                  {.expected_version = stored.version}, deadline);
    if (!absl::IsAborted(put.status())) return put.status();
  }
}

TEST_P(MetadataStoreConformance, ConcurrentChangesAreNotLost) {
  constexpr int kThreads = 4;
  constexpr int kIncrements = 100;
  TE_ASSERT_OK(
      store_->Put("count", {{0, "0"}}, {.expected_version = kAbsent}, deadline_)
          .status());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kIncrements; ++i) {
        TE_ASSERT_OK(Increment(*store_, deadline_));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Bytes(store_->Get("count", {}, deadline_)),
            std::to_string(kThreads * kIncrements));
}

}  // namespace
}  // namespace te
