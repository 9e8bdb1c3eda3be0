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
#include "te/metadata/host_identity.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/segment_descriptor.h"

namespace te {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
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

class StoreSegmentResolverTest : public testing::Test {
 protected:
  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>();
  StoreSegmentResolver resolver_{store_};
};

TEST_F(StoreSegmentResolverTest, FindsWhatWasPublished) {
  SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
}

TEST_F(StoreSegmentResolverTest, AnUnknownSegmentIsNotFound) {
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("segment 'a' is not published")));
  EXPECT_THAT(resolver_.Lookup("", kNoDeadline),
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
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
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
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
}

TEST_F(StoreSegmentResolverTest, WithdrawingFreesTheName) {
  SegmentDescriptor first = Descriptor();
  SegmentDescriptor second = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(first, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", first.incarnation, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", first.incarnation, kNoDeadline));
  TE_ASSERT_OK(resolver_.Publish(second, kNoDeadline));
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(second));
}

TEST_F(StoreSegmentResolverTest, WithdrawLeavesAnotherIncarnationAlone) {
  SegmentDescriptor mine = Descriptor();
  TE_ASSERT_OK(resolver_.Publish(mine, kNoDeadline));
  TE_ASSERT_OK(resolver_.Withdraw("a", Descriptor().incarnation, kNoDeadline));
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
}

TEST_F(StoreSegmentResolverTest, ForeignValuesAreReportedAndKept) {
  TE_ASSERT_OK(
      store_->Put("te/segment/a", "garbage", {}, kNoDeadline).status());
  auto is_data_loss =
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("te/segment/a"));
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), is_data_loss);
  EXPECT_THAT(resolver_.Publish(Descriptor(), kNoDeadline), is_data_loss);
  EXPECT_THAT(resolver_.Withdraw("a", Descriptor().incarnation, kNoDeadline),
              is_data_loss);
  EXPECT_EQ(store_->Get("te/segment/a", kNoDeadline)->value, "garbage");

  TE_ASSERT_OK(
      store_->Put("te/segment/b", *Descriptor().Serialize(), {}, kNoDeadline)
          .status());
  EXPECT_THAT(
      resolver_.Lookup("b", kNoDeadline),
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
  EXPECT_THAT(resolver.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
  clock.Advance(seconds(1));
  EXPECT_THAT(resolver.Lookup("a", kNoDeadline),
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
  EXPECT_THAT(resolver_.Lookup("a", kNoDeadline), IsOkAndHolds(mine));
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
