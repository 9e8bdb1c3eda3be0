#include "te/metadata/watch_queue.h"

#include <stdint.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WatchQueueTest : public testing::Test {
 protected:
  void Begin(uint64_t id) {
    queue_.Push(id, {.kind = WatchEvent::Kind::kBegun}, "");
  }
  void Break(uint64_t id, const absl::Status& status) {
    queue_.Push(id, {.kind = WatchEvent::Kind::kBroken, .status = status}, "");
  }
  void Change(uint64_t id, absl::string_view key, uint64_t version) {
    queue_.Push(id, {.kind = WatchEvent::Kind::kChanged, .version = version},
                key);
  }
  std::vector<std::string> TakeAll() {
    std::vector<std::string> all;
    metadata::v1::WatchResponse response;
    while (queue_.Take(response)) {
      std::string text = absl::StrCat(response.id(), " ");
      if (response.has_begun()) absl::StrAppend(&text, "begun");
      if (response.has_broken()) {
        absl::StrAppend(&text, response.broken().refused() ? "refused: " : "",
                        response.broken().code(), " ",
                        response.broken().message());
      }
      if (response.has_changed()) {
        absl::StrAppend(&text, response.changed().key(), "=",
                        response.changed().version());
      }
      all.push_back(text);
    }
    EXPECT_EQ(queue_.bytes(), 0u);
    EXPECT_EQ(queue_.refusals(), 0u);
    return all;
  }

  WatchQueue queue_{{.max_keys = 4, .max_bytes = 10'000}};
};

TEST_F(WatchQueueTest, KeepsTheLastChangeOfEachKey) {
  Change(1, "a", 5);
  Change(1, "b", 6);
  Change(1, "a", 7);
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=7", "1 b=6"));
  EXPECT_THAT(TakeAll(), IsEmpty());
}

TEST_F(WatchQueueTest, ARemovalIsNotLostInAPutNorAPutInARemoval) {
  Change(1, "a", 5);
  Change(1, "a", 0);
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=0", "1 a=5"));
  Change(1, "a", 0);
  Change(1, "a", 8);
  Change(1, "a", 7);
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=0", "1 a=8"));
  Change(1, "a", 0);
  Change(1, "a", 0);
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=0"));
}

TEST_F(WatchQueueTest, TheLastStateCountsAndCoversChanges) {
  Change(1, "a", 5);
  Break(1, absl::UnavailableError("gone"));
  Change(1, "a", 6);
  EXPECT_THAT(TakeAll(), ElementsAre("1 14 gone"));
  Break(1, absl::UnavailableError("gone"));
  Begin(1);
  Change(1, "a", 7);
  EXPECT_THAT(TakeAll(), ElementsAre("1 begun"));
}

TEST_F(WatchQueueTest, WhatIsTakenIsOutOfItsHands) {
  Begin(1);
  EXPECT_THAT(TakeAll(), ElementsAre("1 begun"));
  Change(1, "a", 7);
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=7"));
}

TEST_F(WatchQueueTest, WatchesTakeTurns) {
  for (const char* key : {"a", "b", "c"}) {
    Change(1, key, 5);
    Change(2, key, 5);
  }
  EXPECT_THAT(TakeAll(), ElementsAre("1 a=5", "2 a=5", "1 b=5", "2 b=5",
                                     "1 c=5", "2 c=5"));
}

TEST_F(WatchQueueTest, TooManyKeysMeanLookAgain) {
  for (int i = 0; i < 1000; ++i) Change(1, absl::StrCat("k", i), 5);
  Change(2, "other", 5);
  EXPECT_THAT(TakeAll(), ElementsAre("1 begun", "2 other=5"));
}

TEST_F(WatchQueueTest, TooManyBytesMeanLookAgain) {
  const std::string key(1000, 'k');
  for (uint64_t id = 1; id <= 1000; ++id) {
    Change(id, key, 5);
    ASSERT_LE(queue_.bytes(), 10'000u);
  }
  const std::vector<std::string> all = TakeAll();
  ASSERT_EQ(all.size(), 1000u);
  EXPECT_EQ(all.front(), absl::StrCat("1 ", key, "=5"));
  EXPECT_EQ(all.back(), "1000 begun");
}

TEST_F(WatchQueueTest, ForgetsWhatHasEnded) {
  Change(1, "a", 5);
  Begin(2);
  queue_.Refuse(3, absl::ResourceExhaustedError("full"));
  EXPECT_EQ(queue_.refusals(), 1u);
  for (uint64_t id = 1; id <= 4; ++id) queue_.Remove(id);
  EXPECT_THAT(TakeAll(), IsEmpty());
}

TEST_F(WatchQueueTest, RefusesWithAReason) {
  queue_.Refuse(3, absl::ResourceExhaustedError(std::string(5000, 'x')));
  EXPECT_THAT(TakeAll(), ElementsAre("3 refused: 8 " + std::string(1024, 'x')));
}

}  // namespace
}  // namespace te
