#include "te/core/notification_inbox.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/core/request.h"

namespace te {
namespace {

const Incarnation kSender({1});
const Incarnation kOther({2});

absl::Status Put(NotificationInbox& inbox, uint64_t sequence,
                 const Incarnation& sender = kSender) {
  return inbox.Put(
      sender, sequence,
      {.sender = "s",
       .notification = {.name = "n", .message = absl::StrCat(sequence)}});
}

// The messages that are there now.
std::string TakeAll(NotificationInbox& inbox) {
  std::string all;
  while (auto taken = inbox.Take(RealClock().Now())) {
    absl::StrAppend(&all, taken->notification.message, " ");
  }
  return all;
}

TEST(NotificationInboxTest, KeepsEachOnceInOrderOfArrival) {
  NotificationInbox inbox(100);
  // Other numbers of the sender go to other engines, or were given up.
  for (const uint64_t sequence : {1, 1, 2, 2, 2, 7, 7, 9, 9}) {
    TE_EXPECT_OK(Put(inbox, sequence));
  }
  EXPECT_EQ(TakeAll(inbox), "1 2 7 9 ");
  TE_EXPECT_OK(Put(inbox, 9));
  EXPECT_EQ(TakeAll(inbox), "");
}

// A sender that is told OK reports the notification as delivered.
TEST(NotificationInboxTest, WhatWasNotKeptIsNeverAcknowledged) {
  NotificationInbox inbox(100'000);
  TE_EXPECT_OK(Put(inbox, 1));
  for (uint64_t i = 3; i < 5000; ++i) TE_EXPECT_OK(Put(inbox, i));
  TakeAll(inbox);
  for (const uint64_t sequence : {2, 1, 3, 4998}) {
    EXPECT_THAT(Put(inbox, sequence), StatusIs(absl::StatusCode::kAborted));
  }
  EXPECT_THAT(Put(inbox, 0), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Put(inbox, 0, kOther),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(TakeAll(inbox), "");
  TE_EXPECT_OK(Put(inbox, UINT64_MAX));
  EXPECT_EQ(TakeAll(inbox), "18446744073709551615 ");
}

TEST(NotificationInboxTest, SendersDoNotMix) {
  NotificationInbox inbox(100);
  TE_EXPECT_OK(Put(inbox, 1, kSender));
  TE_EXPECT_OK(Put(inbox, 1, kOther));
  EXPECT_EQ(TakeAll(inbox), "1 1 ");
}

TEST(NotificationInboxTest, WhatWasRefusedWhenFullMayComeAgain) {
  NotificationInbox inbox(2);
  TE_EXPECT_OK(Put(inbox, 1));
  TE_EXPECT_OK(Put(inbox, 2));
  EXPECT_THAT(Put(inbox, 3), StatusIs(absl::StatusCode::kResourceExhausted));
  // A repeat needs no room.
  TE_EXPECT_OK(Put(inbox, 2));
  EXPECT_EQ(TakeAll(inbox), "1 2 ");
  TE_EXPECT_OK(Put(inbox, 3));
  EXPECT_EQ(TakeAll(inbox), "3 ");
}

TEST(NotificationInboxTest, TakeWaits) {
  NotificationInbox inbox(1);
  std::thread sender([&] { TE_EXPECT_OK(Put(inbox, 1)); });
  const auto taken =
      inbox.Take(DeadlineAfter(RealClock().Now(), std::chrono::seconds(60)));
  sender.join();
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->sender, "s");
}

}  // namespace
}  // namespace te
