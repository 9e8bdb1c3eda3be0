#include "te/metadata/segment_directory.h"

#include <stdint.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"
#include "te/metadata/store_segment_resolver.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SegmentDescriptor Descriptor(const std::string& name, uint64_t version = 1) {
  SegmentDescriptor descriptor;
  descriptor.name = name;
  descriptor.incarnation = *Incarnation::Random();
  descriptor.version = version;
  return descriptor;
}

// Resolves over a store, and lets a test count and interrupt the lookups, and
// hold back what watches are told.
class SpyResolver final : public SegmentResolver {
 public:
  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view name,
                                         const SegmentSnapshot* known,
                                         MonotonicTime deadline) override {
    ++lookups;
    last_known = known == nullptr ? 0 : known->revision;
    absl::StatusOr<SegmentSnapshot> found =
        store_.Lookup(name, known, deadline);
    if (auto hook = std::exchange(before_lookup_returns, {})) hook();
    return found;
  }
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      absl::string_view name, WatchCallback on_event) override {
    if (!watch_error.ok()) return watch_error;
    if (!scripted) return store_.Watch(name, std::move(on_event));
    tell = std::move(on_event);
    return std::make_unique<StoreWatch>();
  }
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override {
    return store_.Publish(descriptor, deadline);
  }
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override {
    return store_.Withdraw(name, incarnation, deadline);
  }

  int lookups = 0;
  uint64_t last_known = 0;
  std::function<void()> before_lookup_returns;
  absl::Status watch_error;
  bool scripted = false;
  WatchCallback tell;

 private:
  StoreSegmentResolver store_{std::make_shared<InProcessStore>()};
};

class SegmentDirectoryTest : public testing::Test {
 protected:
  std::shared_ptr<const SegmentDescriptor> Lookup(const std::string& name) {
    auto found = directory_.Lookup(name, kNoDeadline);
    TE_EXPECT_OK(found);
    return found.ok() ? *found : nullptr;
  }

  SpyResolver resolver_;
  std::vector<std::string> changed_;
  std::set<std::string> in_use_;
  SegmentDirectory directory_{
      resolver_,
      {.max_idle = 2,
       .in_use = [this](const std::string& n) { return in_use_.contains(n); },
       .on_change = [this](const std::string& n) { changed_.push_back(n); }}};
};

TEST_F(SegmentDirectoryTest, AsksNobodyForWhatItWatches) {
  const SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  // What was read before the watch began may have changed before it, too.
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_THAT(changed_, ElementsAre("a"));
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_EQ(resolver_.lookups, 2);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_EQ(resolver_.lookups, 2);
}

TEST_F(SegmentDirectoryTest, HearsOfChanges) {
  SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  Lookup("a");
  Lookup("a");
  changed_.clear();
  mine.version = 2;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_THAT(changed_, ElementsAre("a"));
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_NE(resolver_.last_known, 0u);
  const int lookups = resolver_.lookups;
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_EQ(resolver_.lookups, lookups);
}

TEST_F(SegmentDirectoryTest, RefreshAsksInAnyCase) {
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  Lookup("a");
  Lookup("a");
  TE_EXPECT_OK(directory_.Refresh("a", kNoDeadline));
  EXPECT_EQ(resolver_.lookups, 3);
}

TEST_F(SegmentDirectoryTest, KeepsNothingThatCannotBeWatched) {
  resolver_.watch_error = absl::ResourceExhaustedError("too many");
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  for (int i = 1; i <= 3; ++i) {
    const auto found = Lookup("a");
    EXPECT_EQ(found.use_count(), 1);
    EXPECT_EQ(resolver_.lookups, i);
  }
  EXPECT_EQ(directory_.size(), 0u);
}

TEST_F(SegmentDirectoryTest, ErrorsAreNotCached) {
  EXPECT_THAT(directory_.Lookup("a", kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(directory_.size(), 0u);
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  TE_EXPECT_OK(directory_.Lookup("a", kNoDeadline));
}

TEST_F(SegmentDirectoryTest, GoesOnWatchingWhatIsWithdrawn) {
  const SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  Lookup("a");
  Lookup("a");
  TE_ASSERT_OK(resolver_.Withdraw("a", mine.incarnation, kNoDeadline));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(directory_.Lookup("a", kNoDeadline),
                StatusIs(absl::StatusCode::kNotFound));
  }
  changed_.clear();
  const SegmentDescriptor successor = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(successor, kNoDeadline));
  EXPECT_THAT(changed_, ElementsAre("a"));
  EXPECT_EQ(*Lookup("a"), successor);
  const int lookups = resolver_.lookups;
  EXPECT_EQ(*Lookup("a"), successor);
  EXPECT_EQ(resolver_.lookups, lookups);
}

TEST_F(SegmentDirectoryTest, IsBoundedAndKeepsWhatWasUsedLast) {
  for (const char* name : {"a", "b"}) {
    TE_ASSERT_OK(resolver_.Publish(Descriptor(name), kNoDeadline));
    Lookup(name);
    Lookup(name);
  }
  Lookup("a");
  TE_ASSERT_OK(resolver_.Publish(Descriptor("c"), kNoDeadline));
  Lookup("c");
  EXPECT_EQ(directory_.size(), 2u);
  const int lookups = resolver_.lookups;
  Lookup("a");
  EXPECT_EQ(resolver_.lookups, lookups);
  Lookup("b");
  EXPECT_EQ(resolver_.lookups, lookups + 1);
}

TEST_F(SegmentDirectoryTest, KeepsWhatIsInUse) {
  in_use_ = {"a", "b", "c"};
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    TE_ASSERT_OK(resolver_.Publish(Descriptor(name), kNoDeadline));
    Lookup(name);
    Lookup(name);
  }
  EXPECT_EQ(directory_.size(), 5u);
  const int lookups = resolver_.lookups;
  for (const char* name : {"a", "b", "c"}) Lookup(name);
  EXPECT_EQ(resolver_.lookups, lookups);
}

// Where nobody tells of changes, they can be asked for.
TEST_F(SegmentDirectoryTest, KnowsWhatCannotBeWatched) {
  resolver_.watch_error = absl::UnimplementedError("nobody tells");
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  for (int i = 1; i <= 3; ++i) {
    Lookup("a");
    EXPECT_EQ(resolver_.lookups, i);
    EXPECT_EQ(resolver_.last_known != 0, i > 1);
  }
}

// A slow lookup must not put an old descriptor over what a faster one found.
TEST_F(SegmentDirectoryTest, ASlowLookupDoesNotTurnBackTheCache) {
  SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  Lookup("a");
  resolver_.before_lookup_returns = [&] {
    mine.version = 2;
    TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
    EXPECT_EQ(Lookup("a")->version, 2u);
  };
  EXPECT_EQ(Lookup("a")->version, 1u);
  EXPECT_EQ(Lookup("a")->version, 2u);
  EXPECT_EQ(resolver_.lookups, 3);
}

TEST_F(SegmentDirectoryTest, ItsWatchesCanBeEnded) {
  SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  Lookup("a");
  directory_.EndWatches();
  changed_.clear();
  mine.version = 2;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_THAT(changed_, IsEmpty());
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_EQ(directory_.size(), 0u);
}

class ScriptedWatchTest : public SegmentDirectoryTest {
 protected:
  ScriptedWatchTest() {
    resolver_.scripted = true;
    TE_EXPECT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
    Lookup("a");
  }
  // How many lookups go to the resolver.
  int Asked(int lookups) {
    const int before = resolver_.lookups;
    for (int i = 0; i < lookups; ++i) Lookup("a");
    return resolver_.lookups - before;
  }
};

TEST_F(ScriptedWatchTest, AsksUntilTheWatchHasBegun) {
  EXPECT_EQ(Asked(3), 3);
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  EXPECT_EQ(Asked(3), 1);
}

TEST_F(ScriptedWatchTest, AsksWhileTheWatchIsBroken) {
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  EXPECT_EQ(Asked(3), 1);
  changed_.clear();
  resolver_.tell({.kind = WatchEvent::Kind::kBroken,
                  .status = absl::UnavailableError("gone")});
  EXPECT_THAT(changed_, IsEmpty());
  EXPECT_EQ(Asked(3), 3);
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  EXPECT_THAT(changed_, ElementsAre("a"));
  EXPECT_EQ(Asked(3), 1);
}

TEST_F(ScriptedWatchTest, AChangeDuringALookupIsNotLost) {
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  resolver_.before_lookup_returns = [this] {
    resolver_.tell({.kind = WatchEvent::Kind::kChanged, .version = UINT64_MAX});
  };
  EXPECT_EQ(Asked(3), 2);
}

// A lease may end without a word.
TEST_F(ScriptedWatchTest, AsksForWhatWasNotFoundLast) {
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  EXPECT_EQ(Asked(3), 1);
  const SegmentDescriptor seen = *Lookup("a");
  TE_ASSERT_OK(resolver_.Withdraw("a", seen.incarnation, kNoDeadline));
  EXPECT_FALSE(directory_.Refresh("a", kNoDeadline).ok());
  EXPECT_THAT(directory_.Lookup("a", kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ScriptedWatchTest, NewsOfWhatWasReadIsNone) {
  resolver_.tell({.kind = WatchEvent::Kind::kBegun});
  EXPECT_EQ(Asked(3), 1);
  changed_.clear();
  resolver_.tell({.kind = WatchEvent::Kind::kChanged, .version = 1});
  EXPECT_EQ(Asked(3), 0);
  EXPECT_THAT(changed_, IsEmpty());
  resolver_.tell(
      {.kind = WatchEvent::Kind::kChanged, .version = MetadataStore::kAbsent});
  EXPECT_EQ(Asked(3), 1);
}

}  // namespace
}  // namespace te
