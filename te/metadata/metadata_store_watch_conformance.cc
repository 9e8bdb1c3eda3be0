// The part of metadata_store_conformance that is about watches.

#include <stdint.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_store_conformance.h"

namespace te {
namespace {

using Kind = WatchEvent::Kind;

// What a watch was told.
class Events {
 public:
  WatchCallback callback() {
    return [this](const WatchEvent& event) {
      MutexLock lock(mutex_);
      events_.push_back({event.kind, std::string(event.key), event.version});
      told_.NotifyAll();
    };
  }

  bool AwaitBegin(MonotonicTime deadline) {
    return Await(deadline,
                 [](const Event& e) { return e.kind == Kind::kBegun; });
  }
  // That the key is at this version, or, at kAbsent, gone.
  bool AwaitChange(const std::string& key, uint64_t version,
                   MonotonicTime deadline) {
    return Await(deadline, [&](const Event& e) {
      return e.kind == Kind::kChanged && e.key == key && e.version == version;
    });
  }
  bool HasKey(const std::string& key) {
    MutexLock lock(mutex_);
    for (const Event& event : events_) {
      if (event.kind == Kind::kChanged && event.key == key) return true;
    }
    return false;
  }
  size_t count() {
    MutexLock lock(mutex_);
    return events_.size();
  }

 private:
  struct Event {
    Kind kind;
    std::string key;
    uint64_t version;
  };

  bool Await(MonotonicTime deadline,
             const std::function<bool(const Event&)>& matches) {
    MutexLock lock(mutex_);
    size_t seen = 0;
    for (;;) {
      for (; seen < events_.size(); ++seen) {
        if (matches(events_[seen])) return true;
      }
      if (!told_.WaitUntil(mutex_, deadline) && seen == events_.size()) {
        return false;
      }
    }
  }

  Mutex mutex_;
  CondVar told_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
};

TEST_P(MetadataStoreConformance, AWatchTellsOfPuts) {
  Events events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegin(deadline_));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t first,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", first, deadline_));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t second,
                          store_->Put("k", {{3, "2"}}, {}, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", second, deadline_));
}

TEST_P(MetadataStoreConformance, AWatchTellsOfRemovals) {
  TE_ASSERT_OK(store_->Put("k", {{0, "1"}}, {}, deadline_));
  Events events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegin(deadline_));
  TE_ASSERT_OK(store_->Remove("k", std::nullopt, deadline_));
  EXPECT_TRUE(events.AwaitChange("k", MetadataStore::kAbsent, deadline_));
}

TEST_P(MetadataStoreConformance, AWatchTellsOfItsKeyAlone) {
  Events events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "a*"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegin(deadline_));
  for (const char* key : {"a*b", "ab", "a", "b"}) {
    TE_ASSERT_OK(store_->Put(key, {{0, "1"}}, {}, deadline_));
  }
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store_->Put("a*", {{0, "1"}}, {}, deadline_));
  ASSERT_TRUE(events.AwaitChange("a*", version, deadline_));
  for (const char* key : {"a*b", "ab", "a", "b"}) {
    EXPECT_FALSE(events.HasKey(key)) << key;
  }
}

TEST_P(MetadataStoreConformance, AWatchOfAPrefixTellsOfAllBelow) {
  Events events;
  TE_ASSERT_OK_AND_ASSIGN(
      const auto watch,
      store_->Watch({.key = "a*", .prefix = true}, events.callback()));
  ASSERT_TRUE(events.AwaitBegin(deadline_));
  TE_ASSERT_OK(store_->Put("ab", {{0, "1"}}, {}, deadline_));
  const std::string binary("a*\0\n\xff", 5);
  for (const std::string& key : {std::string("a*"), binary}) {
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put(key, {{0, "1"}}, {}, deadline_));
    EXPECT_TRUE(events.AwaitChange(key, version, deadline_));
  }
  EXPECT_FALSE(events.HasKey("ab"));
}

// The order of a change, its event and its reading that caches rely on.
TEST_P(MetadataStoreConformance, AnEventComesAfterItsChange) {
  Events events;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          store_->Watch({.key = "k"}, events.callback()));
  ASSERT_TRUE(events.AwaitBegin(deadline_));
  for (int i = 0; i < 100; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put("k", {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(events.AwaitChange("k", version, deadline_));
    TE_ASSERT_OK_AND_ASSIGN(const StoredValue value,
                            store_->Get("k", {}, deadline_));
    ASSERT_EQ(value.version, version);
  }
}

TEST_P(MetadataStoreConformance, SeveralWatchesOfOneKey) {
  Events first, second;
  TE_ASSERT_OK_AND_ASSIGN(auto watch,
                          store_->Watch({.key = "k"}, first.callback()));
  ASSERT_TRUE(first.AwaitBegin(deadline_));
  TE_ASSERT_OK_AND_ASSIGN(const auto other,
                          store_->Watch({.key = "k"}, second.callback()));
  ASSERT_TRUE(second.AwaitBegin(deadline_));
  TE_ASSERT_OK_AND_ASSIGN(uint64_t version,
                          store_->Put("k", {{0, "1"}}, {}, deadline_));
  EXPECT_TRUE(first.AwaitChange("k", version, deadline_));
  EXPECT_TRUE(second.AwaitChange("k", version, deadline_));
  watch.reset();
  const size_t told = first.count();
  TE_ASSERT_OK_AND_ASSIGN(version, store_->Put("k", {{0, "2"}}, {}, deadline_));
  EXPECT_TRUE(second.AwaitChange("k", version, deadline_));
  EXPECT_EQ(first.count(), told);
}

TEST_P(MetadataStoreConformance, AKeyCanBeWatchedAgain) {
  for (int i = 0; i < 10; ++i) {
    Events events;
    TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                            store_->Watch({.key = "k"}, events.callback()));
    ASSERT_TRUE(events.AwaitBegin(deadline_));
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put("k", {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(events.AwaitChange("k", version, deadline_));
  }
}

TEST_P(MetadataStoreConformance, ManyKeysCanBeWatched) {
  constexpr int kKeys = 1000;
  std::vector<Events> events(kKeys);
  std::vector<std::unique_ptr<StoreWatch>> watches;
  for (int i = 0; i < kKeys; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(
        auto watch, store_->Watch({.key = absl::StrCat("many/", i)},
                                  events[static_cast<size_t>(i)].callback()));
    watches.push_back(std::move(watch));
  }
  for (Events& e : events) ASSERT_TRUE(e.AwaitBegin(deadline_));
  for (int i = 0; i < kKeys; ++i) {
    const std::string key = absl::StrCat("many/", i);
    TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                            store_->Put(key, {{0, "1"}}, {}, deadline_));
    ASSERT_TRUE(
        events[static_cast<size_t>(i)].AwaitChange(key, version, deadline_));
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
