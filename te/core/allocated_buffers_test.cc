#include "te/core/allocated_buffers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/core/request.h"
#include "te/transport/huge_pages.h"

namespace te {
namespace {

using testing::HasSubstr;

constexpr BufferId kId = {7};

absl::Status Unregistered() { return absl::OkStatus(); }

absl::StatusOr<BufferId> Registered(const MemoryRegion&, int) { return kId; }

TEST(AllocatedBuffersTest, RegistersAFileThatBeginsWithTheMemory) {
  AllocatedBuffers buffers;
  std::byte seen{0};
  const auto memory = buffers.Allocate(
      {.bytes = 5000,
       .location = MemoryLocation::Cpu(0),
       .access = Access::kRemoteRead},
      [&](const MemoryRegion& region, int fd) -> absl::StatusOr<BufferId> {
        EXPECT_EQ(region.length, 5000u);
        EXPECT_EQ(region.location, MemoryLocation::Cpu(0));
        EXPECT_EQ(region.access, Access::kRemoteRead);
        static_cast<std::byte*>(region.address)[4999] = std::byte{3};
        EXPECT_EQ(pread(fd, &seen, 1, 4999), 1);
        return kId;
      });
  TE_ASSERT_OK(memory);
  EXPECT_EQ(seen, std::byte{3});
  EXPECT_EQ(memory->id, kId);
  EXPECT_EQ(memory->length, 5000u);
  EXPECT_EQ(memory->address[4999], std::byte{3});
  EXPECT_TRUE(buffers.Contains(kId));
  EXPECT_FALSE(buffers.Contains(BufferId{8}));
}

TEST(AllocatedBuffersTest, ItIsInitializedBeforeAnybodyKnowsOfIt) {
  AllocatedBuffers buffers;
  const auto memory = buffers.Allocate(
      {.bytes = 5000,
       .initialize =
           [](absl::Span<std::byte> bytes) {
             EXPECT_EQ(bytes.size(), 5000u);
             bytes[4999] = std::byte{3};
           }},
      [&](const MemoryRegion& region, int) -> absl::StatusOr<BufferId> {
        EXPECT_EQ(static_cast<std::byte*>(region.address)[4999], std::byte{3});
        return kId;
      });
  TE_EXPECT_OK(memory);
}

TEST(AllocatedBuffersTest, WhatCannotBeRegisteredIsNotKept) {
  const size_t before = CountMappings("memfd:te");
  AllocatedBuffers buffers;
  EXPECT_THAT(buffers.Allocate(
                  {.bytes = 10},
                  [](const MemoryRegion&, int) -> absl::StatusOr<BufferId> {
                    return absl::ResourceExhaustedError("raise the limit");
                  }),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("raise the limit")));
  EXPECT_EQ(CountMappings("memfd:te"), before);
}

TEST(AllocatedBuffersTest, NothingIsRegisteredThatCannotBeAllocated) {
  AllocatedBuffers buffers;
  EXPECT_THAT(buffers.Allocate(
                  {.bytes = 0},
                  [](const MemoryRegion&, int) -> absl::StatusOr<BufferId> {
                    ADD_FAILURE();
                    return kId;
                  }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(AllocatedBuffersTest, MemoryStaysUntilItHasBeenUnregistered) {
  const size_t before = CountMappings("memfd:te");
  AllocatedBuffers buffers;
  TE_ASSERT_OK_AND_ASSIGN(const AllocatedMemory memory,
                          buffers.Allocate({.bytes = 10}, Registered));
  EXPECT_THAT(
      buffers.Free(kId,
                   [] { return absl::DeadlineExceededError("still in use"); }),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("still in use")));
  EXPECT_TRUE(buffers.Contains(kId));
  memory.address[9] = std::byte{1};
  TE_EXPECT_OK(buffers.Free(kId, Unregistered));
  EXPECT_EQ(CountMappings("memfd:te"), before);
  EXPECT_THAT(buffers.Free(kId,
                           [] {
                             ADD_FAILURE();
                             return absl::OkStatus();
                           }),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(AllocatedBuffersTest, OthersThatHaveMappedItDoNotKeepThePages) {
  AllocatedBuffers buffers;
  void* other = nullptr;
  TE_ASSERT_OK_AND_ASSIGN(
      const AllocatedMemory memory,
      buffers.Allocate(
          {.bytes = 10, .huge_pages = HugePages::kNever},
          [&](const MemoryRegion&, int fd) -> absl::StatusOr<BufferId> {
            other = mmap(nullptr, 10, PROT_READ, MAP_SHARED, fd, 0);
            return kId;
          }));
  ASSERT_NE(other, MAP_FAILED);
  memory.address[0] = std::byte{1};
  EXPECT_EQ(*static_cast<std::byte*>(other), std::byte{1});
  TE_EXPECT_OK(buffers.Free(kId, Unregistered));
  EXPECT_EQ(*static_cast<std::byte*>(other), std::byte{0});
  munmap(other, 10);
}

TEST(AllocatedBuffersTest, ItsEndFreesWhatIsLeft) {
  const size_t before = CountMappings("memfd:te");
  {
    AllocatedBuffers buffers;
    TE_ASSERT_OK(buffers.Allocate({.bytes = 10}, Registered));
    EXPECT_EQ(CountMappings("memfd:te"), before + 1);
  }
  EXPECT_EQ(CountMappings("memfd:te"), before);
}

}  // namespace
}  // namespace te
