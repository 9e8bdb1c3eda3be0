#include "te/transport/shm/grants.h"

#include <fcntl.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/shared_region.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr uint32_t kSlots = 8;
constexpr uint32_t kSlot = 3;

UniqueFd Sent(const SharedRegion& region) {
  return UniqueFd(fcntl(region.fd(), F_DUPFD_CLOEXEC, 0));
}

// An owner, and a peer that has got its tables.
class GrantsTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(GrantTable grants, GrantTable::Create(kSlots));
    grants_.emplace(std::move(grants));
    TE_ASSERT_OK_AND_ASSIGN(PinTable pins, PinTable::Create(kSlots));
    pins_.emplace(std::move(pins));
    TE_ASSERT_OK_AND_ASSIGN(
        SharedRegion seen,
        SharedRegion::Map(Sent(grants_->region()), GrantTableBytes(kSlots),
                          SharedRegion::Rights::kRead));
    TE_ASSERT_OK_AND_ASSIGN(PinTable own,
                            PinTable::Map(Sent(pins_->region()), kSlots));
    peer_.emplace(std::move(seen), std::move(own), kSlots);
  }

  LocalMemory Memory(bool read = true, bool write = true) {
    return {.slot = kSlot,
            .address = memory_.data(),
            .length = memory_.size(),
            .remote_read = read,
            .remote_write = write};
  }
  uint64_t begin() const { return reinterpret_cast<uint64_t>(memory_.data()); }

  // Pins what begins so far from the granted memory's begin; unpins it again.
  absl::Status TryPin(const std::string& key, Operation operation,
                      uint64_t offset, uint32_t length) {
    Slice slice;
    slice.operation = operation;
    slice.remote_address = begin() + offset;
    slice.length = length;
    slice.remote_key = key;
    Pinned pinned = {.slot = kSlots};
    absl::Status status = peer_->Pin(slice, pinned);
    if (status.ok()) {
      EXPECT_EQ(pinned.slot, kSlot);
      EXPECT_TRUE(pins_->IsPinned(pinned.slot));
      peer_->Unpin(pinned.slot);
    }
    // A refusal leaves nothing behind that the owner would wait for.
    EXPECT_FALSE(pins_->IsInUse());
    return status;
  }
  absl::Status TryRead(const std::string& key) {
    return TryPin(key, Operation::kRead, 0, 1);
  }
  absl::Status TryWrite(const std::string& key) {
    return TryPin(key, Operation::kWrite, 0, 1);
  }

  std::array<std::byte, 4096> memory_ = {};
  std::optional<GrantTable> grants_;
  std::optional<PinTable> pins_;
  std::optional<GrantedMemory> peer_;
};

TEST_F(GrantsTest, RightsAreKept) {
  for (const bool read : {false, true}) {
    for (const bool write : {false, true}) {
      const std::string key = grants_->Grant(Memory(read, write)).Serialize();
      EXPECT_THAT(TryRead(key), StatusIs(read ? StatusCode::kOk
                                              : StatusCode::kPermissionDenied,
                                         HasSubstr(read ? "" : "read")));
      EXPECT_THAT(TryWrite(key), StatusIs(write ? StatusCode::kOk
                                                : StatusCode::kPermissionDenied,
                                          HasSubstr(write ? "" : "write")));
      grants_->Withdraw(kSlot);
    }
  }
}

TEST_F(GrantsTest, BoundsAreKept) {
  const std::string key = grants_->Grant(Memory()).Serialize();
  const auto size = static_cast<uint32_t>(memory_.size());
  const struct {
    uint64_t offset;
    uint32_t length;
    bool fits;
  } cases[] = {
      {0, 1, true},
      {0, size, true},
      {size - 1, 1, true},
      {0, size + 1, false},
      {1, size, false},
      {size, 1, false},
      {size - 1, 2, false},
      {UINT64_MAX, 1, false},     // the byte before
      {UINT64_MAX, 2, false},     // and one of ours
      {0, UINT32_MAX, false},     //
      {-begin(), 1, false},       // address 0
      {~begin(), 1, false},       // the last address
      {~begin(), size, false},    // over the end of all addresses
      {1ull << 63, size, false},  //
  };
  for (const auto& c : cases) {
    for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
      EXPECT_THAT(TryPin(key, operation, c.offset, c.length),
                  StatusIs(c.fits ? StatusCode::kOk : StatusCode::kOutOfRange))
          << c.offset << " " << c.length;
    }
  }
}

// Memory up to the last address: begin + length would be 0.
TEST_F(GrantsTest, TheEndOfAllAddressesDoesNotWrapAround) {
  constexpr uint64_t kBegin = UINT64_MAX - 4095;
  LocalMemory memory = Memory();
  memory.address = reinterpret_cast<std::byte*>(kBegin);
  const std::string key = grants_->Grant(memory).Serialize();
  EXPECT_THAT(TryPin(key, Operation::kRead, kBegin - begin(), 4096),
              StatusIs(StatusCode::kOk));
  EXPECT_THAT(TryPin(key, Operation::kRead, kBegin - begin() + 1, 4096),
              StatusIs(StatusCode::kOutOfRange));
  EXPECT_THAT(TryPin(key, Operation::kRead, -begin(), 1),
              StatusIs(StatusCode::kOutOfRange));
}

TEST_F(GrantsTest, AWithdrawnGrantIsGone) {
  const std::string key = grants_->Grant(Memory()).Serialize();
  TE_EXPECT_OK(TryRead(key));
  grants_->Withdraw(kSlot);
  EXPECT_THAT(TryRead(key), StatusIs(StatusCode::kNotFound));
  // Twice is as once.
  grants_->Withdraw(kSlot);
  EXPECT_THAT(TryRead(key), StatusIs(StatusCode::kNotFound));
}

TEST_F(GrantsTest, AKeyIsOfOneRegistrationOnly) {
  const std::string old_key = grants_->Grant(Memory()).Serialize();
  grants_->Withdraw(kSlot);
  const std::string key = grants_->Grant(Memory()).Serialize();
  EXPECT_NE(key, old_key);
  TE_EXPECT_OK(TryRead(key));
  EXPECT_THAT(TryRead(old_key), StatusIs(StatusCode::kNotFound));
  // Nor one that is still to come.
  GrantKey next = *GrantKey::Parse(key);
  ++next.generation;
  EXPECT_THAT(TryRead(next.Serialize()), StatusIs(StatusCode::kNotFound));
}

TEST_F(GrantsTest, WhatWasNeverGrantedIsNotFound) {
  const std::string key = grants_->Grant(Memory()).Serialize();
  for (const uint32_t slot :
       {0u, kSlot - 1, kSlot + 1, kSlots - 1, kSlots, UINT32_MAX}) {
    for (const uint64_t generation :
         {uint64_t{0}, uint64_t{1}, UINT64_MAX >> 1}) {
      const GrantKey hostile = {.slot = slot, .generation = generation};
      EXPECT_THAT(TryRead(hostile.Serialize()),
                  StatusIs(StatusCode::kNotFound));
    }
  }
}

TEST_F(GrantsTest, KeysThatAreNoneAreNotFound) {
  const std::string key = grants_->Grant(Memory()).Serialize();
  for (const std::string& hostile :
       {std::string(), key.substr(1), key + '\0', key + key,
        std::string(key.size(), '\xff'), std::string(128, '\0')}) {
    EXPECT_FALSE(GrantKey::Parse(hostile).has_value());
    EXPECT_THAT(TryRead(hostile), StatusIs(StatusCode::kNotFound));
  }
  // Of the last four but one bit means anything.
  for (size_t i = 12; i < key.size(); ++i) {
    std::string spoiled = key;
    spoiled[i] = i == 12 ? 2 : 1;
    EXPECT_FALSE(GrantKey::Parse(spoiled).has_value());
  }
  // A generation as it would not be after the shift.
  const GrantKey huge = {.slot = kSlot, .generation = (UINT64_MAX >> 1) + 2};
  EXPECT_FALSE(GrantKey::Parse(huge.Serialize()).has_value());
}

TEST_F(GrantsTest, AKeyIsReadAsItWasWritten) {
  const GrantKey key = {
      .slot = 0x01020304, .generation = 0x05060708090a0b0c, .mappable = true};
  const std::optional<GrantKey> read = GrantKey::Parse(key.Serialize());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->slot, key.slot);
  EXPECT_EQ(read->mappable, key.mappable);
  EXPECT_EQ(read->generation, key.generation);
  EXPECT_LE(key.Serialize().size(), kMaxKeyBytes);
}

TEST_F(GrantsTest, NothingIsPinnedAfterACut) {
  const std::string key = grants_->Grant(Memory()).Serialize();
  TE_EXPECT_OK(TryRead(key));
  TE_EXPECT_OK(peer_->life());
  pins_->Cut();
  EXPECT_THAT(peer_->life(), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(TryRead(key), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(TryWrite(key), StatusIs(StatusCode::kUnavailable));
}

TEST_F(GrantsTest, PinsAreCounted) {
  Slice slice;
  slice.remote_address = begin();
  slice.length = 1;
  const std::string key = grants_->Grant(Memory()).Serialize();
  slice.remote_key = key;
  Pinned pinned;
  TE_ASSERT_OK(peer_->Pin(slice, pinned));
  TE_ASSERT_OK(peer_->Pin(slice, pinned));
  EXPECT_FALSE(pins_->IsPinned(kSlot - 1));
  EXPECT_FALSE(pins_->IsPinned(kSlot + 1));
  peer_->Unpin(kSlot);
  EXPECT_TRUE(pins_->IsPinned(kSlot));
  EXPECT_TRUE(pins_->IsInUse());
  peer_->Unpin(kSlot);
  EXPECT_FALSE(pins_->IsInUse());
}

// The promise of the tables: once the owner has withdrawn the grant and then
// sees no pin, nobody is inside any more, nor gets in.
TEST_F(GrantsTest, AfterWithdrawalAndALookNobodyIsInside) {
  constexpr uint64_t kRounds = 500;
  std::atomic<uint64_t> generation{1};
  std::atomic<uint64_t> admitted{0};
  std::atomic<int> inside{0};
  std::atomic<bool> over{false};
  const auto intrude = [&] {
    while (!over) {
      const std::string key =
          GrantKey{.slot = kSlot, .generation = generation}.Serialize();
      Slice slice;
      slice.remote_address = begin();
      slice.length = 1;
      slice.remote_key = key;
      Pinned pinned;
      if (!peer_->Pin(slice, pinned).ok()) continue;
      ++inside;
      ++admitted;
      --inside;
      peer_->Unpin(kSlot);
    }
  };
  TE_ASSERT_OK_AND_ASSIGN(Thread peer,
                          Thread::Start({.name = "peer"}, intrude));
  for (uint64_t i = 1; i <= kRounds; ++i) {
    const uint64_t before = admitted;
    generation = i;
    EXPECT_EQ(grants_->Grant(Memory()).generation, i);
    while (admitted == before) sched_yield();
    grants_->Withdraw(kSlot);
    while (pins_->IsPinned(kSlot)) sched_yield();
    EXPECT_EQ(inside, 0);
  }
  over = true;
}

TEST(GrantTableTest, NobodyElseCanGrant) {
  TE_ASSERT_OK_AND_ASSIGN(const GrantTable grants, GrantTable::Create(kSlots));
  EXPECT_THAT(SharedRegion::Map(Sent(grants.region()), GrantTableBytes(kSlots),
                                SharedRegion::Rights::kReadAndWrite),
              StatusIs(StatusCode::kPermissionDenied));
}

TEST(PinTableTest, OneForOtherSlotsIsRefused) {
  TE_ASSERT_OK_AND_ASSIGN(const PinTable pins, PinTable::Create(kSlots));
  for (const uint32_t slots : {1u, kSlots - 1, kSlots + 1, 1u << 24}) {
    EXPECT_THAT(PinTable::Map(Sent(pins.region()), slots),
                StatusIs(StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace te::shm
