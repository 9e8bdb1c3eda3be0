#include "te/core/batch_pool.h"

#include <atomic>
#include <thread>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/core/batch_state.h"

namespace te {
namespace {

using testing::HasSubstr;

TEST(BatchPoolTest, LimitsNameTheirOption) {
  BatchPool pool(1, 10, nullptr);
  TE_ASSERT_OK_AND_ASSIGN(BatchState * batch, pool.Acquire(1, 1, kNoDeadline));
  EXPECT_THAT(
      pool.Acquire(1, 1, kNoDeadline),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_batches")));
  EXPECT_THAT(
      pool.ReserveSlices(*batch, 11),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_slices")));
  EXPECT_THAT(pool.ReserveSlices(*batch, SIZE_MAX),
              StatusIs(absl::StatusCode::kResourceExhausted));
  TE_EXPECT_OK(pool.ReserveSlices(*batch, 10));
  EXPECT_EQ(pool.slices_in_use(), 10u);
  EXPECT_EQ(pool.batches_in_use(), 1u);
}

// Batches that do not fit must not take the room of one that does, not even
// for a moment.
TEST(BatchPoolTest, WhatFitsIsNotRefused) {
  BatchPool pool(2, 10, nullptr);
  BatchState* const large = *pool.Acquire(1, 1, kNoDeadline);
  BatchState* const small = *pool.Acquire(1, 1, kNoDeadline);
  TE_ASSERT_OK(pool.ReserveSlices(*small, 1));
  std::atomic<bool> stop = false;
  std::thread greedy([&] {
    while (!stop) EXPECT_FALSE(pool.ReserveSlices(*large, 11).ok());
  });
  int refused = 0;
  // Each takes one of the ten, until they are gone.
  for (int i = 0; i < 9; ++i) {
    for (int look = 0; look < 200; ++look) std::this_thread::yield();
    if (!pool.ReserveSlices(*small, 1).ok()) ++refused;
  }
  stop = true;
  greedy.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(pool.slices_in_use(), 10u);
}

}  // namespace
}  // namespace te
