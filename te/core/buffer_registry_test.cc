#include "te/core/buffer_registry.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/core/request.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/transport_keys.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/local_memory.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

MonotonicTime In(Duration duration) {
  return DeadlineAfter(RealClock().Now(), duration);
}
MonotonicTime Soon() { return In(std::chrono::seconds(60)); }

class BufferRegistryTest : public testing::Test {
 protected:
  BufferId Register(Access access = Access::kRemoteReadWrite) {
    auto id = registry_.Register({.address = memory_.data(),
                                  .length = memory_.size(),
                                  .access = access});
    TE_EXPECT_OK(id);
    return id.value_or(BufferId{});
  }
  RemoteAccess At(size_t offset, uint64_t length, BufferId id,
                  Operation operation = Operation::kRead) {
    return {.operation = operation,
            .address = reinterpret_cast<uint64_t>(memory_.data()) + offset,
            .length = length,
            .generation = id.value};
  }

  std::array<std::byte, 1000> memory_;
  BufferRegistry registry_{4};
};

TEST_F(BufferRegistryTest, ChecksEveryAccessOfAPeer) {
  const BufferId id = Register();
  EXPECT_EQ(registry_.Acquire(At(10, 990, id))->data(), memory_.data() + 10);
  for (const auto& [offset, length] :
       std::vector<std::pair<size_t, uint64_t>>{{10, 991},
                                                {1000, 1},
                                                {size_t(-1), 2},
                                                {0, UINT64_MAX},
                                                {10, UINT64_MAX - 5}}) {
    EXPECT_THAT(registry_.Acquire(At(offset, length, id)),
                StatusIs(absl::StatusCode::kOutOfRange));
  }
  for (const uint64_t other : {uint64_t{0}, id.value + 1, UINT64_MAX,
                               id.value + (uint64_t{1} << 32)}) {
    EXPECT_THAT(registry_.Acquire(At(0, 1, BufferId{other})),
                StatusIs(absl::StatusCode::kNotFound));
  }
  TE_EXPECT_OK(registry_.Unregister(id, Soon()));
}

TEST_F(BufferRegistryTest, ChecksAccessRights) {
  for (const Access access : {Access::kLocalOnly, Access::kRemoteRead,
                              Access::kRemoteWrite, Access::kRemoteReadWrite}) {
    const BufferId id = Register(access);
    for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
      EXPECT_THAT(registry_.Acquire(At(0, 1, id, operation)),
                  StatusIs(Allows(access, operation)
                               ? absl::StatusCode::kOk
                               : absl::StatusCode::kPermissionDenied));
    }
    EXPECT_EQ(registry_.Describe().table.size(),
              access == Access::kLocalOnly ? 0u : 1u);
    TE_EXPECT_OK(registry_.PinLocal(memory_.data(), 1, {}));
    TE_EXPECT_OK(registry_.Unregister(id, Soon()));
  }
}

TEST_F(BufferRegistryTest, AnEarlierRegistrationIsRecognised) {
  const BufferId old = Register();
  TE_ASSERT_OK(registry_.Unregister(old, Soon()));
  EXPECT_THAT(registry_.Acquire(At(0, 1, old)),
              StatusIs(absl::StatusCode::kNotFound));
  const BufferId fresh = Register();
  EXPECT_NE(old, fresh);
  EXPECT_THAT(registry_.Acquire(At(0, 1, old)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(registry_.Unregister(old, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
  TE_EXPECT_OK(registry_.Acquire(At(0, 1, fresh)));
}

TEST_F(BufferRegistryTest, RegionsMayOverlap) {
  const BufferId whole = Register();
  TE_ASSERT_OK_AND_ASSIGN(
      const BufferId part,
      registry_.Register({.address = memory_.data() + 100, .length = 50}));
  TE_EXPECT_OK(registry_.PinLocal(memory_.data() + 90, 30, {}));
  TE_EXPECT_OK(registry_.Unregister(whole, Soon()));
  TE_EXPECT_OK(registry_.PinLocal(memory_.data() + 110, 40, {}));
  EXPECT_THAT(
      registry_.PinLocal(memory_.data() + 90, 30, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("register")));
  TE_EXPECT_OK(registry_.Acquire(At(100, 50, part)));
}

TEST_F(BufferRegistryTest, RefusesWhatIsNoMemoryAndMoreThanItMayHold) {
  void* const last_byte =
      reinterpret_cast<void*>(UINT64_MAX);  // NOLINT: no pointer, that is it
  for (const MemoryRegion& region :
       {MemoryRegion{.address = nullptr, .length = 1},
        MemoryRegion{.address = memory_.data(), .length = 0},
        MemoryRegion{.address = last_byte, .length = 1},
        MemoryRegion{.address = memory_.data(), .length = SIZE_MAX}}) {
    EXPECT_THAT(registry_.Register(region),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  for (int i = 0; i < 4; ++i) Register();
  EXPECT_THAT(
      registry_.Register({.address = memory_.data(), .length = 1}),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_buffers")));
}

TEST_F(BufferRegistryTest, UnregisteringWaitsForPins) {
  const BufferId id = Register();
  std::optional<ExposedMemory::Pin> remote = *registry_.Acquire(At(0, 1, id));
  std::optional<BufferRegistry::LocalPin> local =
      *registry_.PinLocal(memory_.data(), 1, {});
  EXPECT_THAT(
      registry_.Unregister(id, In(milliseconds(1))),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("still in use")));
  // It takes no new ones, also by the short way.
  EXPECT_THAT(registry_.Acquire(At(0, 1, id)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(registry_.PinLocal(memory_.data(), 1, *local),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(registry_.Describe().table.empty());
  remote.reset();
  std::atomic<bool> released = false;
  std::thread waiter([&] {
    TE_EXPECT_OK(registry_.Unregister(id, Soon()));
    EXPECT_TRUE(released);
  });
  released = true;
  local.reset();
  waiter.join();
}

TEST_F(BufferRegistryTest, OneOfTwoUnregistersWins) {
  for (int i = 0; i < 200; ++i) {
    const BufferId id = Register();
    auto pin = *registry_.Acquire(At(0, 1, id));
    std::atomic<int> won = 0;
    std::atomic<int> disposed = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        const absl::Status status =
            registry_.Unregister(id, Soon(), [&](uint32_t /*slot*/) {
              ++disposed;
              return absl::OkStatus();
            });
        EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
        // Also for the one that has not done it.
        EXPECT_EQ(disposed, 1);
        if (status.ok()) ++won;
      });
    }
    pin.Reset();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(disposed, 1);
  }
}

TEST_F(BufferRegistryTest, NobodyReachesABufferThatIsBeingPrepared) {
  TransportKeys keys;
  TE_ASSERT_OK(keys.Add("rdma", "key"));
  const auto prepare = [&](const LocalMemory& memory) {
    EXPECT_LT(memory.slot, 4u);
    EXPECT_EQ(memory.address, memory_.data());
    EXPECT_EQ(memory.length, memory_.size());
    EXPECT_TRUE(memory.remote_read);
    EXPECT_FALSE(memory.remote_write);
    EXPECT_THAT(registry_.PinLocal(memory_.data(), 1, {}),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_TRUE(registry_.Describe().table.empty());
    EXPECT_EQ(registry_.size(), 1u);
    return keys;
  };
  TE_ASSERT_OK_AND_ASSIGN(const BufferId id,
                          registry_.Register({.address = memory_.data(),
                                              .length = memory_.size(),
                                              .access = Access::kRemoteRead},
                                             prepare));
  TE_EXPECT_OK(registry_.Acquire(At(0, 1, id)));
  const BufferTable table = registry_.Describe().table;
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table.begin()->keys, keys);
  // They are not those of the next buffer in the slot.
  TE_ASSERT_OK(registry_.Unregister(id, Soon()));
  Register();
  EXPECT_TRUE(registry_.Describe().table.begin()->keys.empty());
}

TEST_F(BufferRegistryTest, WhatCannotBePreparedIsNotRegistered) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(registry_.Register(
                    {.address = memory_.data(), .length = memory_.size()},
                    [](const LocalMemory&) -> absl::StatusOr<TransportKeys> {
                      return absl::ResourceExhaustedError("locked memory");
                    }),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("locked memory")));
    EXPECT_EQ(registry_.size(), 0u);
    EXPECT_TRUE(registry_.Describe().table.empty());
  }
  for (int i = 0; i < 4; ++i) Register();
}

TEST_F(BufferRegistryTest, DisposesWhenTheLastPinHasGone) {
  const BufferId id = Register();
  std::optional<BufferRegistry::LocalPin> pin =
      *registry_.PinLocal(memory_.data(), 1, {});
  const uint32_t slot = pin->slot();
  EXPECT_THAT(
      registry_.Unregister(
          id, In(milliseconds(1)),
          [](uint32_t) { return absl::InternalError("it is still in use"); }),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  pin.reset();
  std::atomic<bool> disposed = false;
  std::optional<std::thread> second;
  TE_EXPECT_OK(registry_.Unregister(id, Soon(), [&](uint32_t index) {
    EXPECT_EQ(index, slot);
    // Others go on meanwhile, and do not get the slot.
    const BufferId other = Register();
    EXPECT_NE(registry_.PinLocal(memory_.data(), 1, {})->slot(), slot);
    TE_EXPECT_OK(registry_.Unregister(other, Soon()));
    EXPECT_TRUE(registry_.Describe().table.empty());
    // Its deadline is for what can be cut off, which this cannot.
    second.emplace([&] {
      EXPECT_THAT(registry_.Unregister(id, RealClock().Now()),
                  StatusIs(absl::StatusCode::kNotFound));
      EXPECT_TRUE(disposed);
    });
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    disposed = true;
    return absl::OkStatus();
  }));
  second->join();
}

TEST_F(BufferRegistryTest, KeepsWhatCannotBeDisposedOfYet) {
  const BufferId id = Register();
  const auto not_yet = absl::DeadlineExceededError("a peer still uses it");
  EXPECT_THAT(
      registry_.Unregister(id, Soon(), [&](uint32_t) { return not_yet; }),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("a peer")));
  EXPECT_EQ(registry_.size(), 1u);
  EXPECT_FALSE(registry_.PinLocal(memory_.data(), 1, {}).ok());
  TE_EXPECT_OK(registry_.Unregister(id, Soon()));
  EXPECT_EQ(registry_.size(), 0u);
}

TEST_F(BufferRegistryTest, DisposesOfWhatIsLeftInTheEnd) {
  TE_ASSERT_OK(registry_.Unregister(Register(), Soon()));
  const BufferId open = Register();
  const BufferId closing = Register();
  auto pin = *registry_.Acquire(At(0, 1, closing));
  EXPECT_THAT(registry_.Unregister(closing, RealClock().Now()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  std::vector<uint32_t> slots;
  registry_.DisposeOfAll([&](uint32_t slot) { slots.push_back(slot); });
  EXPECT_THAT(slots, testing::UnorderedElementsAre(
                         static_cast<uint32_t>(open.value),
                         static_cast<uint32_t>(closing.value)));
}

TEST_F(BufferRegistryTest, DescribesAnewWhatHasChanged) {
  constexpr size_t kCount = 3 * BufferTable::kPageBuffers;
  BufferRegistry registry(kCount);
  std::vector<BufferId> ids;
  for (size_t i = 0; i < kCount; ++i) {
    ids.push_back(*registry.Register({.address = memory_.data(),
                                      .length = i + 1,
                                      .access = Access::kRemoteRead}));
  }
  const BufferRegistry::Description first = registry.Describe();
  EXPECT_EQ(first.table.size(), kCount);
  ASSERT_EQ(first.page_versions.size(), 3u);
  EXPECT_GT(first.page_versions[0], registry.first_version());

  TE_ASSERT_OK(registry.Unregister(ids[BufferTable::kPageBuffers], Soon()));
  const BufferRegistry::Description second = registry.Describe();
  EXPECT_EQ(second.table.size(), kCount - 1);
  EXPECT_GT(second.version, first.version);
  EXPECT_GT(second.page_versions[1], first.version);
  EXPECT_NE(second.table.page(1), first.table.page(1));
  for (size_t same : {0, 2}) {
    EXPECT_EQ(second.table.page(same), first.table.page(same));
    EXPECT_EQ(second.page_versions[same], first.page_versions[same]);
  }
  // Peers have no part in it.
  TE_ASSERT_OK(registry.Register(
      {.address = memory_.data(), .length = 1, .access = Access::kLocalOnly}));
  EXPECT_EQ(registry.Describe().version, second.version);
}

TEST_F(BufferRegistryTest, NobodyHoldsWhatWasUnregistered) {
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> current = 0;
  std::atomic<uint64_t> removed = 0;
  std::atomic<uint64_t> pinned = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const uint64_t id = current;
        const auto pin = registry_.Acquire(At(0, 8, BufferId{id}));
        if (!pin.ok()) continue;
        ++pinned;
        EXPECT_NE(removed, id);
      }
    });
    threads.emplace_back([&] {
      BufferRegistry::LocalPin hint;
      while (!stop) {
        auto pin = registry_.PinLocal(memory_.data(), 8, hint);
        hint = pin.ok() ? *std::move(pin) : BufferRegistry::LocalPin();
        std::this_thread::yield();
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      const BufferTable table = registry_.Describe().table;
      for (const BufferDescriptor& buffer : table) {
        EXPECT_EQ(buffer.length, memory_.size());
      }
    }
  });
  for (int i = 0; i < 300 || pinned < 10; ++i) {
    const BufferId id = Register();
    current = id.value;
    std::this_thread::yield();
    TE_ASSERT_OK(registry_.Unregister(id, Soon()));
    removed = id.value;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace te
