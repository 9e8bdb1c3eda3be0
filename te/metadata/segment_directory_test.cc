#include "te/metadata/segment_directory.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/fake_clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"
#include "te/metadata/store_segment_resolver.h"

namespace te {
namespace {

SegmentDescriptor Descriptor(const std::string& name, uint64_t version = 1) {
  SegmentDescriptor descriptor;
  descriptor.name = name;
  descriptor.incarnation = *Incarnation::Random();
  descriptor.version = version;
  return descriptor;
}

// Resolves over a store, and lets a test count and interrupt the lookups.
class SpyResolver final : public SegmentResolver {
 public:
  absl::StatusOr<SegmentDescriptor> Lookup(absl::string_view name,
                                           MonotonicTime deadline) override {
    ++lookups;
    absl::StatusOr<SegmentDescriptor> found = store_.Lookup(name, deadline);
    if (auto hook = std::exchange(before_lookup_returns, {})) hook();
    return found;
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
  std::function<void()> before_lookup_returns;

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
  FakeClock clock_;
  SegmentDirectory directory_{
      resolver_,
      {.max_age = std::chrono::seconds(1), .max_entries = 2},
      clock_};
};

TEST_F(SegmentDirectoryTest, CachesForMaxAge) {
  SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_EQ(*Lookup("a"), mine);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(*Lookup("a"), mine);
  EXPECT_EQ(resolver_.lookups, 1);

  mine.version = 2;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  clock_.Advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(Lookup("a")->version, 2u);
  EXPECT_EQ(resolver_.lookups, 2);
}

TEST_F(SegmentDirectoryTest, KeepsNothingWithoutMaxAge) {
  SegmentDirectory directory(resolver_, {.max_age = Duration::zero()}, clock_);
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  for (int i = 1; i <= 2; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(const auto found,
                            directory.Lookup("a", kNoDeadline));
    EXPECT_EQ(found.use_count(), 1);
    EXPECT_EQ(resolver_.lookups, i);
  }
}

TEST_F(SegmentDirectoryTest, ErrorsAreNotCached) {
  EXPECT_THAT(directory_.Lookup("a", kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound));
  TE_ASSERT_OK(resolver_.Publish(Descriptor("a"), kNoDeadline));
  TE_EXPECT_OK(directory_.Lookup("a", kNoDeadline));
}

TEST_F(SegmentDirectoryTest, InvalidateFindsTheSuccessor) {
  SegmentDescriptor first = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(first, kNoDeadline));
  auto seen = Lookup("a");
  SegmentDescriptor second = Descriptor("a");
  TE_ASSERT_OK(resolver_.Withdraw("a", first.incarnation, kNoDeadline));
  TE_ASSERT_OK(resolver_.Publish(second, kNoDeadline));
  directory_.Invalidate("a", *seen);
  EXPECT_EQ(*Lookup("a"), second);

  // A thread that noticed late does no harm.
  directory_.Invalidate("a", *seen);
  EXPECT_EQ(*Lookup("a"), second);
  EXPECT_EQ(resolver_.lookups, 2);
  EXPECT_EQ(*seen, first);
}

TEST_F(SegmentDirectoryTest, InvalidatingAnUnknownNameDoesNothing) {
  directory_.Invalidate("a", Descriptor("a"));
  EXPECT_EQ(resolver_.lookups, 0);
}

TEST_F(SegmentDirectoryTest, IsBoundedAndKeepsTheNewest) {
  for (const char* name : {"a", "b", "c"}) {
    TE_ASSERT_OK(resolver_.Publish(Descriptor(name), kNoDeadline));
    Lookup(name);
    clock_.Advance(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(resolver_.lookups, 3);
  Lookup("b");
  Lookup("c");
  EXPECT_EQ(resolver_.lookups, 3);
  Lookup("a");
  EXPECT_EQ(resolver_.lookups, 4);
}

// A slow lookup must not put an old descriptor over what a faster one found.
TEST_F(SegmentDirectoryTest, ASlowLookupDoesNotTurnBackTheCache) {
  SegmentDescriptor mine = Descriptor("a");
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  resolver_.before_lookup_returns = [&] {
    mine.version = 2;
    TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
    clock_.Advance(std::chrono::milliseconds(1));
    EXPECT_EQ(Lookup("a")->version, 2u);
  };
  EXPECT_EQ(Lookup("a")->version, 1u);
  EXPECT_EQ(Lookup("a")->version, 2u);
  EXPECT_EQ(resolver_.lookups, 2);
}

}  // namespace
}  // namespace te
