#include "te/tools/segment_watcher.h"

#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/fake_clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"

namespace te::tools {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class SegmentWatcherTest : public testing::Test {
 protected:
  SegmentWatcherTest() {
    auto watcher = SegmentWatcher::Create(
        store_, "a", seconds(1),
        [this](absl::string_view what, const std::string& name,
               const absl::StatusOr<SegmentSnapshot>&) {
          told_.push_back(absl::StrCat(what, " ", name));
        });
    TE_EXPECT_OK(watcher);
    watcher_ = *std::move(watcher);
  }

  void Put(const std::string& name, Duration lease = Duration::zero()) {
    SegmentDescriptor descriptor;
    descriptor.name = name;
    descriptor.incarnation = Incarnation({1});
    descriptor.version = ++version_;
    TE_ASSERT_OK(store_.Put(SegmentKey(name),
                            {{0, *descriptor.SerializeHead()}},
                            {.lease = lease}, kNoDeadline));
  }
  bool HasNews() {
    pollfd entry = {.fd = watcher_->fd(), .events = POLLIN, .revents = 0};
    return poll(&entry, 1, 0) == 1;
  }
  std::vector<std::string> Told() {
    TE_EXPECT_OK(watcher_->Look());
    return std::exchange(told_, {});
  }

  FakeClock clock_;
  InProcessStore store_{{}, clock_};
  uint64_t version_ = 0;
  std::vector<std::string> told_;
  std::unique_ptr<SegmentWatcher> watcher_;
};

TEST_F(SegmentWatcherTest, TellsWhatHappens) {
  Put("b");
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_FALSE(HasNews());
  Put("a1");
  Put("a2");
  EXPECT_TRUE(HasNews());
  EXPECT_THAT(Told(), ElementsAre("new a1", "new a2"));
  EXPECT_FALSE(HasNews());
  Put("a2");
  EXPECT_THAT(Told(), ElementsAre("changed a2"));
  TE_ASSERT_OK(store_.Remove(SegmentKey("a1"), std::nullopt, kNoDeadline));
  EXPECT_THAT(Told(), ElementsAre("gone a1"));
  TE_ASSERT_OK(store_.Put(SegmentKey("a2"), {{0, "garbage"}}, {}, kNoDeadline));
  EXPECT_THAT(Told(), ElementsAre("wrong a2"));
  TE_EXPECT_OK(watcher_->Look(true));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(SegmentWatcherTest, TellsOfLeasesThatEnd) {
  Put("a", seconds(1));
  EXPECT_THAT(Told(), ElementsAre("new a"));
  clock_.Advance(seconds(1));
  TE_EXPECT_OK(watcher_->Look(true));
  EXPECT_THAT(Told(), ElementsAre("gone a"));
}

TEST_F(SegmentWatcherTest, ManyChangesAreALookAtAll) {
  for (int i = 0; i < 2000; ++i) Put(absl::StrCat("a", i));
  EXPECT_EQ(Told().size(), 2000u);
}

TEST_F(SegmentWatcherTest, BeginsWithWhatIsThere) {
  Put("a");
  std::vector<std::string> told;
  TE_ASSERT_OK_AND_ASSIGN(
      const auto other, SegmentWatcher::Create(
                            store_, "", seconds(1),
                            [&](absl::string_view what, const std::string& name,
                                const absl::StatusOr<SegmentSnapshot>&) {
                              told.push_back(absl::StrCat(what, " ", name));
                            }));
  TE_EXPECT_OK(other->Look());
  EXPECT_THAT(told, ElementsAre("new a"));
}

}  // namespace
}  // namespace te::tools
