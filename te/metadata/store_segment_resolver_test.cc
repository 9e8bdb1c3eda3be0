#include "te/metadata/store_segment_resolver.h"

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/fake_clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

SegmentDescriptor Descriptor(uint64_t version = 1) {
  SegmentDescriptor descriptor;
  descriptor.name = "a";
  descriptor.incarnation = *Incarnation::Random();
  descriptor.version = version;
  descriptor.host.pid = 4711;
  descriptor.control_addresses = {"10.0.0.1:9000"};
  return descriptor;
}

SegmentDescriptor Found(SegmentResolver& resolver) {
  const auto found = resolver.Lookup("a", nullptr, kNoDeadline);
  TE_EXPECT_OK(found);
  return found.ok() ? found->descriptor : SegmentDescriptor();
}

// As many pages as there are counts, each with so many buffers.
void Fill(SegmentDescriptor& descriptor, std::vector<size_t> counts) {
  for (size_t page = 0; page < counts.size(); ++page) {
    descriptor.buffers.SetPage(
        page, std::make_shared<const BufferTable::Page>(
                  counts[page], BufferDescriptor{.address = page + 1,
                                                 .length = counts[page]}));
  }
}

class StoreSegmentResolverTest : public testing::Test {
 protected:
  // The parts that the store has got since a version.
  std::vector<uint32_t> ChangedSince(uint64_t version) {
    std::vector<uint32_t> numbers;
    const auto value =
        store_->Get("te/segment/a", {.since = version}, kNoDeadline);
    TE_EXPECT_OK(value);
    for (const ValuePart& part : value->parts) numbers.push_back(part.number);
    return numbers;
  }
  uint64_t version() {
    return store_->Get("te/segment/a", {}, kNoDeadline)->version;
  }

  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>();
  StoreSegmentResolver resolver_{store_};
};

TEST_F(StoreSegmentResolverTest, FindsWhatWasPublished) {
  SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_EQ(Found(resolver_), mine);
}

TEST_F(StoreSegmentResolverTest, AnUnknownSegmentIsNotFound) {
  EXPECT_THAT(resolver_.Lookup("a", nullptr, kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("segment 'a' is not published")));
  EXPECT_THAT(resolver_.Lookup("", nullptr, kNoDeadline),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(StoreSegmentResolverTest, LaterVersionsReplaceEarlierOnes) {
  SegmentDescriptor mine = Descriptor(1);
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  mine.version = 3;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  SegmentDescriptor overtaken = mine;
  overtaken.version = 2;
  TE_ASSERT_OK(resolver_.Publish(overtaken, kNoDeadline));
  EXPECT_EQ(Found(resolver_), mine);
}

TEST_F(StoreSegmentResolverTest, ASecondIncarnationIsToldWhoHasTheName) {
  SegmentDescriptor mine = Descriptor();
  mine.started_at = 1795392000;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_THAT(resolver_.Publish(Descriptor(9), kNoDeadline),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr(mine.incarnation.ToString()),
                             HasSubstr("4711"), HasSubstr("10.0.0.1:9000"),
                             HasSubstr("since 2026-11-23T00:00:00+00:00"))));
  EXPECT_EQ(Found(resolver_), mine);
}

TEST_F(StoreSegmentResolverTest, PublishesThePagesThatHaveChanged) {
  SegmentDescriptor mine = Descriptor(1);
  Fill(mine, {256, 256, 256, 10});
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  const uint64_t first = version();
  SegmentDescriptor changed = mine;
  changed.version = 2;
  changed.buffers.SetPage(
      3, std::make_shared<const BufferTable::Page>(11, BufferDescriptor{1, 1}));
  TE_ASSERT_OK(resolver_.Publish(changed, kNoDeadline));
  EXPECT_THAT(ChangedSince(first), ElementsAre(0, 4));
  EXPECT_EQ(Found(resolver_), changed);
  const uint64_t second = version();
  changed.version = 3;
  changed.buffers.SetPage(3, nullptr);
  TE_ASSERT_OK(resolver_.Publish(changed, kNoDeadline));
  EXPECT_THAT(ChangedSince(second), ElementsAre(0, 4));
  EXPECT_EQ(Found(resolver_), changed);
}

TEST_F(StoreSegmentResolverTest, ReadsThePagesThatHaveChanged) {
  SegmentDescriptor mine = Descriptor(1);
  Fill(mine, {256, 256, 3});
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot known,
                          resolver_.Lookup("a", nullptr, kNoDeadline));
  SegmentDescriptor changed = mine;
  changed.version = 2;
  changed.buffers.SetPage(2, nullptr);
  TE_ASSERT_OK(resolver_.Publish(changed, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot now,
                          resolver_.Lookup("a", &known, kNoDeadline));
  EXPECT_EQ(now.descriptor, changed);
  // Not read again: shared.
  for (size_t page : {0, 1}) {
    EXPECT_EQ(now.descriptor.buffers.page(page),
              known.descriptor.buffers.page(page));
  }
  EXPECT_THAT(resolver_.Lookup("a", &now, kNoDeadline), IsOkAndHolds(now));
}

TEST_F(StoreSegmentResolverTest, PublishesEverythingToAStoreThatHasLostIt) {
  SegmentDescriptor mine = Descriptor(1);
  Fill(mine, {256, 2});
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot known,
                          resolver_.Lookup("a", nullptr, kNoDeadline));
  TE_ASSERT_OK(store_->Remove("te/segment/a", std::nullopt, kNoDeadline));
  mine.version = 2;
  mine.buffers.SetPage(1, nullptr);
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_EQ(Found(resolver_), mine);
  // Who knew what was there before is told that a page is gone.
  EXPECT_EQ(resolver_.Lookup("a", &known, kNoDeadline)->descriptor, mine);
}

TEST_F(StoreSegmentResolverTest, ASuccessorInheritsNoPages) {
  SegmentDescriptor dead = Descriptor();
  TE_ASSERT_OK_AND_ASSIGN(dead.host, HostIdentity::ReadSelf("/proc"));
  SegmentDescriptor mine = Descriptor();
  mine.host = dead.host;
  --dead.host.process_start_time;
  Fill(dead, {1, 1, 1});
  Fill(mine, {2});
  TE_ASSERT_OK(resolver_.Publish(dead, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot known,
                          resolver_.Lookup("a", nullptr, kNoDeadline));
  StoreSegmentResolver other(store_);
  TE_ASSERT_OK(other.Publish(mine, kNoDeadline));
  EXPECT_EQ(other.Lookup("a", &known, kNoDeadline)->descriptor, mine);
}

// More than a call of the store carries.
TEST_F(StoreSegmentResolverTest, LargeSegmentsGoInPieces) {
  SegmentDescriptor mine = Descriptor();
  Fill(mine,
       std::vector<size_t>(BufferTable::kMaxPages, BufferTable::kPageBuffers));
  mine.transports["rdma"] = std::string(8 << 20, 'x');
  int puts = 0;
  TE_ASSERT_OK_AND_ASSIGN(const auto watch,
                          resolver_.Watch("a", [&](const WatchEvent& event) {
                            if (event.kind == WatchEvent::Kind::kChanged)
                              ++puts;
                          }));
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_GT(puts, 1);
  EXPECT_TRUE(Found(resolver_) == mine);
  TE_EXPECT_OK(resolver_.Renew("a", kNoDeadline));
}

TEST_F(StoreSegmentResolverTest, HalfASegmentIsWaitedFor) {
  SegmentDescriptor mine = Descriptor();
  Fill(mine, {1, 1});
  TE_ASSERT_OK(store_->Put(
      "te/segment/a", {{0, *mine.SerializeHead()}, {1, *mine.SerializePage(0)}},
      {}, kNoDeadline));
  // Its pauses of 2 to 32 ms leave half of it: a late waking does no harm.
  EXPECT_THAT(
      resolver_.Lookup("a", nullptr,
                       RealClock().Now() + std::chrono::milliseconds(124)),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("being published")));
  std::thread publisher([&] {
    TE_EXPECT_OK(store_->Put("te/segment/a", {{2, *mine.SerializePage(1)}}, {},
                             kNoDeadline));
  });
  EXPECT_EQ(Found(resolver_), mine);
  publisher.join();
}

TEST_F(StoreSegmentResolverTest, TellsOfChanges) {
  SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  int told = 0;
  TE_ASSERT_OK_AND_ASSIGN(
      const auto watch,
      resolver_.Watch("a", [&](const WatchEvent&) { ++told; }));
  EXPECT_EQ(told, 1);
  mine.version = 2;
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_EQ(told, 2);
}

TEST_F(StoreSegmentResolverTest, WithdrawingFreesTheName) {
  SegmentDescriptor first = Descriptor();
  SegmentDescriptor second = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(first, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", first.incarnation, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", first.incarnation, kNoDeadline));
  TE_ASSERT_OK(resolver_.Publish(second, kNoDeadline));
  EXPECT_EQ(Found(resolver_), second);
}

TEST_F(StoreSegmentResolverTest, WithdrawLeavesAnotherIncarnationAlone) {
  SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", Descriptor().incarnation, kNoDeadline));
  EXPECT_EQ(Found(resolver_), mine);
}

TEST_F(StoreSegmentResolverTest, ForeignValuesAreReportedAndKept) {
  TE_ASSERT_OK(store_->Put("te/segment/a", {{0, "garbage"}}, {}, kNoDeadline));
  auto is_data_loss =
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("te/segment/a"));
  EXPECT_THAT(resolver_.Lookup("a", nullptr, kNoDeadline), is_data_loss);
  EXPECT_THAT(resolver_.Publish(Descriptor(), kNoDeadline), is_data_loss);
  EXPECT_THAT(resolver_.Withdraw("a", Descriptor().incarnation, kNoDeadline),
              is_data_loss);
  EXPECT_EQ(store_->Get("te/segment/a", {}, kNoDeadline)->parts,
            (std::vector<ValuePart>{{0, "garbage"}}));

  TE_ASSERT_OK(store_->Put("te/segment/b", {{0, *Descriptor().SerializeHead()}},
                           {}, kNoDeadline));
  EXPECT_THAT(
      resolver_.Lookup("b", nullptr, kNoDeadline),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another segment")));
}

TEST_F(StoreSegmentResolverTest, InvalidDescriptorsAreNotPublished) {
  SegmentDescriptor mine = Descriptor();
  mine.version = 0;
  EXPECT_THAT(resolver_.Publish(mine, kNoDeadline),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(StoreSegmentResolverTest, PublicationsLastForTheirLease) {
  FakeClock clock;
  StoreSegmentResolver resolver(
      std::make_shared<InProcessStore>(InProcessStoreOptions{}, clock),
      seconds(30));
  EXPECT_EQ(resolver.lease(), seconds(30));
  const SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver.Publish(mine, kNoDeadline));
  clock.Advance(seconds(29));
  TE_ASSERT_OK(resolver.Renew("a", kNoDeadline));
  clock.Advance(seconds(29));
  EXPECT_EQ(Found(resolver), mine);
  clock.Advance(seconds(1));
  EXPECT_THAT(resolver.Lookup("a", nullptr, kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound));
  // Whose lease has ended makes way for another.
  TE_EXPECT_OK(resolver.Publish(Descriptor(), kNoDeadline));
}

TEST_F(StoreSegmentResolverTest, RenewTellsWhatIsNotPublishedAnyMore) {
  const auto lost =
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("not published"));
  EXPECT_THAT(resolver_.Renew("a", kNoDeadline), lost);
  const SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_EXPECT_OK(resolver_.Renew("a", kNoDeadline));

  TE_ASSERT_OK(store_->Remove("te/segment/a", std::nullopt, kNoDeadline));
  EXPECT_THAT(resolver_.Renew("a", kNoDeadline), lost);
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_EXPECT_OK(resolver_.Renew("a", kNoDeadline));

  // Somebody else's entry is not kept alive.
  TE_ASSERT_OK(resolver_.Withdraw("a", mine.incarnation, kNoDeadline));
  StoreSegmentResolver other(store_);
  TE_ASSERT_OK(other.Publish(Descriptor(), kNoDeadline));
  EXPECT_THAT(resolver_.Renew("a", kNoDeadline), lost);
}

TEST_F(StoreSegmentResolverTest, TheNameOfADeadProcessOfThisHostIsFree) {
  SegmentDescriptor dead = Descriptor();
  TE_ASSERT_OK_AND_ASSIGN(dead.host, HostIdentity::ReadSelf("/proc"));
  SegmentDescriptor mine = Descriptor();
  mine.host = dead.host;
  // An earlier process with the number of this one.
  --dead.host.process_start_time;
  TE_ASSERT_OK(resolver_.Publish(dead, kNoDeadline));
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_EQ(Found(resolver_), mine);
}

TEST_F(StoreSegmentResolverTest, OfManyIncarnationsOneGetsTheName) {
  std::vector<absl::Status> results(8);
  std::vector<std::thread> threads;
  for (absl::Status& result : results) {
    threads.emplace_back([this, &result] {
      result = resolver_.Publish(Descriptor(), kNoDeadline);
    });
  }
  for (std::thread& thread : threads) thread.join();
  int winners = 0;
  for (const absl::Status& result : results) {
    if (result.ok()) {
      ++winners;
    } else {
      EXPECT_THAT(result, StatusIs(absl::StatusCode::kAlreadyExists));
    }
  }
  EXPECT_EQ(winners, 1);
}

}  // namespace
}  // namespace te
