#include "te/rdma/send_queue.h"

#include <infiniband/verbs.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_fixture.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::rdma {
namespace {

constexpr uint32_t kBytes = 1 << 20;

class SendQueueTest : public NicFixture {
 protected:
  void TearDown() override {
    queue_.reset();
    a_end_ = {};
    b_end_ = {};
    regions_a_.reset();
    regions_b_.reset();
    NicFixture::TearDown();
  }

  // A queue of these limits, whose queue pair has `depth` if that is given.
  void Make(const QueuePairLimits& limits, uint32_t depth = 0) {
    regions_a_.emplace(std::vector<Device*>{a_.get()}, false, 1);
    regions_b_.emplace(std::vector<Device*>{b_.get()}, false, 1);
    TE_ASSERT_OK(regions_a_->Register(
        {.address = local_.data(), .length = local_.size()}));
    TE_ASSERT_OK_AND_ASSIGN(const std::string keys,
                            regions_b_->Register({.address = remote_.data(),
                                                  .length = remote_.size(),
                                                  .remote_read = true,
                                                  .remote_write = true}));
    ASSERT_TRUE(RemoteKey(keys, 0, remote_key_));
    QueuePairLimits real = limits;
    if (depth != 0) real.max_wr = depth;
    TE_ASSERT_OK_AND_ASSIGN(a_end_, MakeEnd(*a_, real));
    TE_ASSERT_OK_AND_ASSIGN(b_end_, MakeEnd(*b_, {}));
    TE_ASSERT_OK(Connect(a_end_, b_end_));
    queue_.emplace(*std::move(a_end_.pair), limits, 5);
    a_end_.pair.reset();
  }

  // Between the same offsets.
  WorkPiece Piece(size_t offset, uint32_t length, Slice& slice,
                  Operation operation = Operation::kWrite) {
    return {
        .operation = operation,
        .local = local_.data() + offset,
        .local_key = regions_a_->LocalKey(0, 0),
        .remote_address = reinterpret_cast<uint64_t>(remote_.data()) + offset,
        .remote_key = remote_key_,
        .length = length,
        .slice = &slice};
  }
  uint32_t Room() {
    queue_->LookForRoom();
    return queue_->room();
  }
  // Adds one that cannot be merged with the one before.
  void AddApart(size_t i, Slice& slice) {
    ASSERT_GT(Room(), 0u);
    queue_->Add(Piece((i % 1000) * 64, 8, slice));
  }
  absl::Status Ring(std::vector<Slice*>* refused = nullptr) {
    return queue_->Ring(
        RealClock().Now(), [&](const SendQueue::Posted& posted, bool torn) {
          ASSERT_NE(refused, nullptr) << "refused";
          EXPECT_FALSE(torn);
          for (Slice* s = posted.first; s != nullptr; s = s->next) {
            refused->push_back(s);
          }
        });
  }
  // Ends what the device has reported; returns how many completions that took.
  size_t Complete(std::vector<Slice*>& done) {
    const std::vector<ibv_wc> completions = Completions(a_end_);
    for (const ibv_wc& completion : completions) {
      EXPECT_EQ(completion.status, IBV_WC_SUCCESS);
      const auto id = WorkRequestId::Unpack(completion.wr_id);
      EXPECT_EQ(id.queue, 5);
      EXPECT_TRUE(queue_->IsUnderWay(id.position));
      SliceList slices = queue_->TakeBefore(id.position + 1).slices;
      while (!slices.empty()) done.push_back(&slices.PopFront());
      EXPECT_FALSE(queue_->IsUnderWay(id.position));
    }
    return completions.size();
  }

  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::vector<std::byte> remote_ = std::vector<std::byte>(kBytes);
  std::optional<MemoryRegions> regions_a_;
  std::optional<MemoryRegions> regions_b_;
  uint32_t remote_key_ = 0;
  End a_end_;
  End b_end_;
  std::optional<SendQueue> queue_;
};

TEST_F(SendQueueTest, WorkRequestIdsRoundTrip) {
  for (const uint32_t queue : {0u, 1u, UINT32_MAX}) {
    for (const uint32_t position : {0u, 7u, UINT32_MAX}) {
      const auto id = WorkRequestId::Unpack(
          WorkRequestId{.queue = queue, .position = position}.Pack());
      EXPECT_EQ(id.queue, queue);
      EXPECT_EQ(id.position, position);
    }
  }
}

// Each depth, also those that do not divide the range of positions, which wrap
// after kFirstPosition: in random steps, and as full as can be now and then.
// The device would refuse one more.
TEST_F(SendQueueTest, IsNeverFullerThanTheDeviceAllows) {
  std::mt19937 random(1);
  for (const uint32_t depth : {16u, 17u, 100u, 256u}) {
    SCOPED_TRACE(depth);
    Make({.max_wr = depth, .max_sge = 1, .max_inline = 0});
    std::vector<Slice> slices(10'000);
    ASSERT_GT(slices.size(), uint32_t{0} - SendQueue::kFirstPosition);
    std::vector<Slice*> done;
    size_t next = 0;
    while (done.size() < slices.size()) {
      for (size_t n = random() % (2 * SendQueue::kChain);
           n > 0 && Room() > 0 && next < slices.size(); --n, ++next) {
        AddApart(next, slices[next]);
      }
      TE_ASSERT_OK(Ring());
      ASSERT_LE(queue_->outstanding(), depth);
      // Often nobody polls, so that it gets full.
      if (random() % 4 != 0 && Room() > 0 && next < slices.size()) {
        continue;
      }
      const size_t before = done.size();
      const bool any = queue_->outstanding() > 0;
      Complete(done);
      ASSERT_EQ(any, done.size() > before) << "nothing asked for a completion";
      ASSERT_EQ(queue_->outstanding(), 0) << "the last one is not signalled";
    }
    // In order, each once.
    for (size_t i = 0; i < slices.size(); ++i) ASSERT_EQ(done[i], &slices[i]);
    TearDown();
    SetUp();
  }
}

TEST_F(SendQueueTest, AsksForOneCompletionInSixteen) {
  Make({.max_wr = 256, .max_sge = 1});
  std::vector<Slice> slices(32);
  std::vector<Slice*> done;
  for (size_t i = 0; i < 32; ++i) AddApart(i, slices[i]);
  EXPECT_EQ(Room(), 0);
  TE_ASSERT_OK(Ring());
  EXPECT_EQ(Complete(done), 2);
  EXPECT_EQ(done.size(), 32);
}

TEST_F(SendQueueTest, AShortQueueAsksMoreOften) {
  Make({.max_wr = 16, .max_sge = 1});
  std::vector<Slice> slices(16);
  std::vector<Slice*> done;
  for (size_t i = 0; i < 16; ++i) AddApart(i, slices[i]);
  EXPECT_EQ(Room(), 0);
  TE_ASSERT_OK(Ring());
  EXPECT_EQ(Complete(done), 4);
}

TEST_F(SendQueueTest, LongOnesAskForACompletionEach) {
  Make({.max_wr = 256, .max_sge = 1});
  std::vector<Slice> slices(8);
  std::vector<Slice*> done;
  for (uint32_t i = 0; i < 8; ++i) {
    queue_->Add(Piece(i * size_t{2} * SendQueue::kSignalBytes,
                      SendQueue::kSignalBytes, slices[i]));
  }
  TE_ASSERT_OK(Ring());
  EXPECT_EQ(Complete(done), 8);
}

TEST_F(SendQueueTest, WhatIsContiguousAtThePeerSharesAWorkRequest) {
  Make({.max_wr = 64, .max_sge = 4});
  std::vector<Slice> slices(10);
  for (uint32_t i = 0; i < 10; ++i) {
    // Apart here, one after the other there.
    WorkPiece piece = Piece(i * size_t{100}, 100, slices[i]);
    piece.local = local_.data() + i * size_t{1000};
    memset(piece.local, static_cast<int>(i + 1), 100);
    queue_->Add(piece);
  }
  EXPECT_EQ(queue_->chained(), 3);
  TE_ASSERT_OK(Ring());
  std::vector<Slice*> done;
  Complete(done);
  ASSERT_EQ(done.size(), 10);
  for (uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(done[i], &slices[i]);
    for (size_t j = 0; j < 100; ++j) {
      ASSERT_EQ(remote_[i * size_t{100} + j], std::byte(i + 1));
    }
  }
}

TEST_F(SendQueueTest, WhatIsSharedIsNotSentInlineIfItIsTooLong) {
  Make({.max_wr = 64, .max_sge = 4, .max_inline = 150});
  std::vector<Slice> slices(2);
  queue_->Add(Piece(0, 100, slices[0]));
  queue_->Add(Piece(100, 100, slices[1]));
  EXPECT_EQ(queue_->chained(), 1);
  TE_EXPECT_OK(Ring());
}

TEST_F(SendQueueTest, CountsWhatHasCompleted) {
  Make({.max_wr = 64, .max_sge = 4});
  std::vector<Slice> slices(4);
  queue_->Add(Piece(0, 100, slices[0]));
  queue_->Add(Piece(100, 100, slices[1]));
  WorkPiece part = Piece(1000, 50, slices[2]);
  part.partial = true;
  queue_->Add(part);
  queue_->Add(Piece(1050, 30, slices[2]));
  queue_->AddProbe();
  AddApart(500, slices[3]);
  TE_ASSERT_OK(Ring());
  Completions(a_end_);
  // The first part alone brings nothing back.
  const uint32_t begin = SendQueue::kFirstPosition;
  SendQueue::Completed completed = queue_->TakeBefore(begin + 2);
  EXPECT_EQ(completed.work_requests, 2);
  EXPECT_EQ(completed.bytes, 250);
  EXPECT_EQ(&completed.slices.PopFront(), &slices[0]);
  EXPECT_EQ(&completed.slices.PopFront(), &slices[1]);
  EXPECT_TRUE(completed.slices.empty());
  SendQueue::Completed rest = queue_->TakeBefore(queue_->end());
  EXPECT_EQ(rest.work_requests, 3);
  EXPECT_EQ(rest.bytes, 38);
  EXPECT_EQ(&rest.slices.PopFront(), &slices[2]);
  EXPECT_EQ(&rest.slices.PopFront(), &slices[3]);
  EXPECT_TRUE(rest.slices.empty());
  EXPECT_EQ(queue_->outstanding(), 0);
}

TEST_F(SendQueueTest, WhatDoesNotFitTogetherStaysApart) {
  Make({.max_wr = 64, .max_sge = 4});
  std::vector<Slice> slices(2);
  const WorkPiece first = Piece(0, 100, slices[0]);
  const auto chained_with = [&](const WorkPiece& a, const WorkPiece& b) {
    queue_->Add(a);
    queue_->Add(b);
    const uint32_t chained = queue_->chained();
    Ring().IgnoreError();
    std::vector<Slice*> done;
    for (const ibv_wc& completion : Completions(a_end_)) {
      queue_->CompleteThrough(WorkRequestId::Unpack(completion.wr_id).position,
                              [](const SendQueue::Posted&) {});
    }
    return chained;
  };
  EXPECT_EQ(chained_with(first, Piece(100, 100, slices[1])), 1);
  EXPECT_EQ(chained_with(first, Piece(101, 100, slices[1])), 2) << "a gap";
  EXPECT_EQ(chained_with(first, Piece(99, 100, slices[1])), 2) << "an overlap";
  EXPECT_EQ(chained_with(first, Piece(100, 100, slices[1], Operation::kRead)),
            2);
  EXPECT_EQ(
      chained_with(Piece(0, SendQueue::kMaxMergedBytes - 99, slices[0]),
                   Piece(SendQueue::kMaxMergedBytes - 99, 100, slices[1])),
      2)
      << "too long";
  EXPECT_EQ(
      chained_with(Piece(0, SendQueue::kMaxMergedBytes - 100, slices[0]),
                   Piece(SendQueue::kMaxMergedBytes - 100, 100, slices[1])),
      1);
  WorkPiece partial = Piece(0, 100, slices[0]);
  partial.partial = true;
  EXPECT_EQ(chained_with(partial, Piece(100, 100, slices[0])), 2);
  // The last: it breaks the connection.
  WorkPiece other_key = Piece(100, 100, slices[1]);
  other_key.remote_key += 8;
  EXPECT_EQ(chained_with(first, other_key), 2);
}

TEST_F(SendQueueTest, ASliceInPartsIsDoneOnce) {
  Make({.max_wr = 64, .max_sge = 4});
  std::vector<Slice> slices(2);
  for (uint32_t i = 0; i < 4; ++i) {
    WorkPiece piece = Piece(i * size_t{100}, 100, slices[0]);
    piece.partial = i < 3;
    queue_->Add(piece);
  }
  EXPECT_EQ(queue_->chained(), 4);
  AddApart(500, slices[1]);
  TE_ASSERT_OK(Ring());
  std::vector<Slice*> done;
  Complete(done);
  EXPECT_EQ(done, (std::vector<Slice*>{&slices[0], &slices[1]}));
}

TEST_F(SendQueueTest, RefusedPostsComeBackAndTheOthersComplete) {
  // The device has less room than the queue thinks.
  Make({.max_wr = 64, .max_sge = 1}, /*depth=*/16);
  std::vector<Slice> slices(32);
  for (size_t i = 0; i < 32; ++i) AddApart(i, slices[i]);
  std::vector<Slice*> refused;
  EXPECT_FALSE(Ring(&refused).ok());
  EXPECT_EQ(queue_->outstanding(), 16);
  ASSERT_EQ(refused.size(), 16);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(refused[i], &slices[16 + i]);
  // Nobody signals the last of those that were taken, if it was not its turn.
  std::vector<Slice*> done;
  Complete(done);
  queue_->CompleteBefore(queue_->end(), [&](const SendQueue::Posted& posted) {
    done.push_back(posted.first);
  });
  ASSERT_EQ(done.size(), 16);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(done[i], &slices[i]);
}

TEST_F(SendQueueTest, SharedWorkRequestsAreRefusedWithAllTheirSlices) {
  Make({.max_wr = 64, .max_sge = 2}, /*depth=*/16);
  std::vector<Slice> slices(64);
  for (uint32_t i = 0; i < 64; ++i) {
    queue_->Add(Piece(i / 2 * size_t{64} + i % 2 * 8, 8, slices[i]));
  }
  EXPECT_EQ(queue_->chained(), 32);
  std::vector<Slice*> refused;
  EXPECT_FALSE(Ring(&refused).ok());
  ASSERT_EQ(refused.size(), 32);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(refused[i], &slices[32 + i]);
}

TEST_F(SendQueueTest, SaysSinceWhenItWaits) {
  Make({.max_wr = 64, .max_sge = 1});
  std::vector<Slice> slices(2);
  const MonotonicTime first(std::chrono::seconds(100));
  const MonotonicTime second(std::chrono::seconds(200));
  AddApart(0, slices[0]);
  TE_ASSERT_OK(queue_->Ring(first, [](const SendQueue::Posted&, bool) {}));
  EXPECT_EQ(queue_->waiting_since(), first);
  AddApart(1, slices[1]);
  TE_ASSERT_OK(queue_->Ring(second, [](const SendQueue::Posted&, bool) {}));
  EXPECT_EQ(queue_->waiting_since(), first) << "the oldest is that old";
  queue_->NoteProgress(second);
  EXPECT_EQ(queue_->waiting_since(), second);
}

}  // namespace
}  // namespace te::rdma
