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
  for (const uint64_t sequence : {1, 3, 1, 2, 3, 7, 7, 2, 5, 1}) {
    TE_EXPECT_OK(Put(inbox, sequence));
  }
  EXPECT_EQ(TakeAll(inbox), "1 3 2 7 5 ");
  for (const uint64_t sequence : {1, 2, 3, 5, 7}) {
    TE_EXPECT_OK(Put(inbox, sequence));
  }
  EXPECT_EQ(TakeAll(inbox), "");
  TE_EXPECT_OK(Put(inbox, 4));
  EXPECT_EQ(TakeAll(inbox), "4 ");
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

TEST(NotificationInboxTest, RemembersRepeatsOfSparseNumbers) {
  // The numbers of one sender go to several engines.
  NotificationInbox inbox(100'000);
  for (uint64_t i = 1; i <= 20'000; ++i) TE_EXPECT_OK(Put(inbox, i * 3));
  TakeAll(inbox);
  for (uint64_t i = 1; i <= 20'000; ++i) TE_EXPECT_OK(Put(inbox, i * 3));
  EXPECT_EQ(TakeAll(inbox), "");
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
