#include "te/metadata/metadata_store_conformance.h"

#include <stdint.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kAbsent = MetadataStore::kAbsent;

TEST_P(MetadataStoreConformance, GetReturnsWhatPutStored) {
  const std::string value("any\0 bytes \xff", 12);
  TE_ASSERT_OK_AND_ASSIGN(uint64_t version,
                          store_->Put("k", value, std::nullopt, deadline_));
  EXPECT_NE(version, kAbsent);
  EXPECT_THAT(store_->Get("k", deadline_),
              IsOkAndHolds(StoredValue{value, version}));
}

TEST_P(MetadataStoreConformance, EmptyValuesAreValues) {
  TE_ASSERT_OK(store_->Put("k", "", std::nullopt, deadline_).status());
  TE_ASSERT_OK_AND_ASSIGN(StoredValue stored, store_->Get("k", deadline_));
  EXPECT_EQ(stored.value, "");
}

TEST_P(MetadataStoreConformance, KeysAreBytes) {
  const std::string with_nul("k\0", 2);
  TE_ASSERT_OK(store_->Put("k", "1", std::nullopt, deadline_).status());
  TE_ASSERT_OK(store_->Put(with_nul, "2", std::nullopt, deadline_).status());
  EXPECT_EQ(store_->Get("k", deadline_)->value, "1");
  EXPECT_EQ(store_->Get(with_nul, deadline_)->value, "2");
}

TEST_P(MetadataStoreConformance, AMissingKeyIsNotFound) {
  EXPECT_THAT(store_->Get("nonesuch", deadline_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nonesuch")));
  EXPECT_THAT(store_->Remove("nonesuch", std::nullopt, deadline_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nonesuch")));
}

TEST_P(MetadataStoreConformance, PutReplaces) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t first,
                          store_->Put("k", "1", std::nullopt, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(uint64_t second,
                          store_->Put("k", "2", std::nullopt, deadline_));
  EXPECT_GT(second, first);
  EXPECT_THAT(store_->Get("k", deadline_),
              IsOkAndHolds(StoredValue{"2", second}));
}

TEST_P(MetadataStoreConformance, PutOfAnAbsentKeyHappensOnce) {
  TE_ASSERT_OK(store_->Put("k", "1", kAbsent, deadline_).status());
  EXPECT_THAT(store_->Put("k", "2", kAbsent, deadline_),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("'k'")));
  EXPECT_EQ(store_->Get("k", deadline_)->value, "1");
}

TEST_P(MetadataStoreConformance, PutComparesVersions) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t first,
                          store_->Put("k", "1", kAbsent, deadline_));
  TE_ASSERT_OK(store_->Put("k", "2", first, deadline_).status());
  EXPECT_THAT(store_->Put("k", "3", first, deadline_),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(store_->Put("other", "3", first, deadline_),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(store_->Get("k", deadline_)->value, "2");
  EXPECT_THAT(store_->Get("other", deadline_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(MetadataStoreConformance, RemoveRemoves) {
  TE_ASSERT_OK(store_->Put("k", "1", std::nullopt, deadline_).status());
  TE_ASSERT_OK(store_->Remove("k", std::nullopt, deadline_));
  EXPECT_THAT(store_->Get("k", deadline_),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(MetadataStoreConformance, RemoveComparesVersions) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t first,
                          store_->Put("k", "1", kAbsent, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(uint64_t second,
                          store_->Put("k", "2", first, deadline_));
  EXPECT_THAT(store_->Remove("k", first, deadline_),
              StatusIs(absl::StatusCode::kAborted));
  TE_EXPECT_OK(store_->Remove("k", second, deadline_));
}

TEST_P(MetadataStoreConformance, VersionsGrowAcrossRemoval) {
  TE_ASSERT_OK_AND_ASSIGN(uint64_t before,
                          store_->Put("k", "1", kAbsent, deadline_));
  TE_ASSERT_OK(store_->Remove("k", before, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(uint64_t after,
                          store_->Put("k", "1", kAbsent, deadline_));
  EXPECT_GT(after, before);
}

TEST_P(MetadataStoreConformance, TakesKeysAndValuesUpToTheLimits) {
  const std::string key(MetadataStore::kMaxKeyBytes, 'k');
  const std::string value(MetadataStore::kMaxValueBytes, 'v');
  TE_ASSERT_OK(store_->Put(key, value, std::nullopt, deadline_).status());
  EXPECT_EQ(store_->Get(key, deadline_)->value, value);
}

TEST_P(MetadataStoreConformance, RefusesWhatExceedsTheLimits) {
  const std::string key(MetadataStore::kMaxKeyBytes + 1, 'k');
  const std::string value(MetadataStore::kMaxValueBytes + 1, 'v');
  for (const std::string& bad_key : {std::string(), key}) {
    EXPECT_THAT(store_->Put(bad_key, "v", std::nullopt, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Get(bad_key, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Remove(bad_key, std::nullopt, deadline_),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(store_->Put("k", value, std::nullopt, deadline_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'k'")));
}

TEST_P(MetadataStoreConformance, APassedDeadlineChangesNothing) {
  const MonotonicTime past = RealClock().Now();
  TE_ASSERT_OK(store_->Put("k", "1", std::nullopt, deadline_).status());
  EXPECT_THAT(store_->Put("k", "2", std::nullopt, past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(store_->Get("k", past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(store_->Remove("k", std::nullopt, past),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(store_->Get("k", deadline_)->value, "1");
}

// Adds one to the number under the key, by compare-and-set.
absl::Status Increment(MetadataStore& store, MonotonicTime deadline) {
  while (true) {
    TE_ASSIGN_OR_RETURN(StoredValue stored, store.Get("count", deadline));
    int count = 0;
    if (!absl::SimpleAtoi(stored.value, &count)) {
      return absl::DataLossError(stored.value);
    }
    absl::StatusOr<uint64_t> put =
        store.Put("count", std::to_string(count + 1), stored.version, deadline);
    if (!absl::IsAborted(put.status())) return put.status();
  }
}

TEST_P(MetadataStoreConformance, ConcurrentChangesAreNotLost) {
  constexpr int kThreads = 4;
  constexpr int kIncrements = 100;
  TE_ASSERT_OK(store_->Put("count", "0", kAbsent, deadline_).status());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kIncrements; ++i) {
        TE_ASSERT_OK(Increment(*store_, deadline_));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_->Get("count", deadline_)->value,
            std::to_string(kThreads * kIncrements));
}

}  // namespace
}  // namespace te
