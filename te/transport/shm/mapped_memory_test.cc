#include "te/transport/shm/mapped_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/transport/mappable_bytes.h"
#include "te/transport/shm/mapping_id.h"

namespace te::shm {
namespace {

using absl::StatusCode;

constexpr size_t kBytes = 10'000;

UniqueFd Sent(const MappableBytes& bytes) {
  return UniqueFd(fcntl(bytes.fd(), F_DUPFD_CLOEXEC, 0));
}

size_t CountMapped() { return CountMappings("memfd:"); }

class MappedMemoryTest : public testing::Test {
 protected:
  MappableBytes theirs_ = MappableBytes(kBytes);
  const size_t before_ = CountMapped();
  MappedMemory mapped_;
};

TEST_F(MappedMemoryTest, WhatIsMappedIsTheirMemory) {
  constexpr MappingId kId = {.index = 7, .serial = 3};
  TE_ASSERT_OK(mapped_.Map(kId, Sent(theirs_), /*writable=*/true));
  std::byte* const ours = mapped_.Enter(kId, 100, 50, /*write=*/true);
  ASSERT_NE(ours, nullptr);
  EXPECT_NE(ours, theirs_.data() + 100);
  theirs_.data()[100] = std::byte{1};
  EXPECT_EQ(ours[0], std::byte{1});
  ours[49] = std::byte{2};
  EXPECT_EQ(theirs_.data()[149], std::byte{2});
  mapped_.Leave(kId);
}

TEST_F(MappedMemoryTest, OnlyWhatIsThereIsEntered) {
  constexpr MappingId kId = {.index = 7, .serial = 3};
  EXPECT_EQ(mapped_.Enter(kId, 0, 1, false), nullptr) << "before any";
  TE_ASSERT_OK(mapped_.Map(kId, Sent(theirs_), /*writable=*/false));
  // The file has whole pages.
  const size_t end = 3 * 4096;
  const struct {
    MappingId id;
    uint64_t offset, bytes;
    bool write;
  } cases[] = {
      {{.index = 7, .serial = 2}, 0, 1, false},
      {{.index = 7, .serial = 4}, 0, 1, false},
      {{.index = 6, .serial = 3}, 0, 1, false},
      {{.index = 7, .serial = 0}, 0, 1, false},
      {{.index = kMaxMappings, .serial = 3}, 0, 1, false},
      {{.index = UINT32_MAX, .serial = 3}, 0, 1, false},
      {kId, 0, 1, true},
      {kId, 0, end + 1, false},
      {kId, end, 1, false},
      {kId, end - 1, 2, false},
      {kId, UINT64_MAX, 2, false},
      {kId, 2, UINT64_MAX, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(mapped_.Enter(c.id, c.offset, c.bytes, c.write), nullptr)
        << c.id.index << " " << c.offset << " " << c.bytes;
  }
  ASSERT_NE(mapped_.Enter(kId, 0, end, false), nullptr);
  mapped_.Leave(kId);
}

// Whoever touches what has been cut off is ended by a signal.
TEST_F(MappedMemoryTest, FilesThatCanShrinkAreRefused) {
  const UniqueFd file(memfd_create("te-test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  const UniqueFd grows(
      memfd_create("te-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(fcntl(grows.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  const UniqueFd empty(
      memfd_create("te-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(fcntl(empty.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  const UniqueFd none(open("/dev/zero", O_RDWR | O_CLOEXEC));
  for (const UniqueFd* fd : {&file, &grows, &empty, &none}) {
    EXPECT_THAT(
        mapped_.Map({.index = 1, .serial = 1},
                    UniqueFd(fcntl(fd->get(), F_DUPFD_CLOEXEC, 0)), true),
        StatusIs(StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(CountMapped(), before_);
}

TEST_F(MappedMemoryTest, NothingIsEnteredWhereSomethingWas) {
  constexpr MappingId kId = {.index = 7, .serial = 3};
  TE_ASSERT_OK(mapped_.Map(kId, Sent(theirs_), true));
  mapped_.Unmap(7);
  for (const uint32_t serial : {0u, 3u}) {
    EXPECT_EQ(mapped_.Enter({.index = 7, .serial = serial}, 0, 1, false),
              nullptr);
  }
}

TEST_F(MappedMemoryTest, PlacesOutsideTheTableAreRefused) {
  for (const MappingId id :
       {MappingId{.index = 0, .serial = 0},
        MappingId{.index = kMaxMappings, .serial = 1},
        MappingId{.index = UINT32_MAX, .serial = UINT32_MAX}}) {
    EXPECT_THAT(mapped_.Map(id, Sent(theirs_), true),
                StatusIs(StatusCode::kInvalidArgument));
  }
  mapped_.Unmap(kMaxMappings);
  mapped_.Unmap(UINT32_MAX);
}

TEST_F(MappedMemoryTest, ItIsUnmappedWhenTheLastOneLeaves) {
  constexpr MappingId kId = {.index = 7, .serial = 3};
  TE_ASSERT_OK(mapped_.Map(kId, Sent(theirs_), true));
  std::byte* const ours = mapped_.Enter(kId, 0, 1, true);
  ASSERT_EQ(mapped_.Enter(kId, 0, 1, true), ours);
  mapped_.Unmap(kId.index);
  EXPECT_EQ(mapped_.Enter(kId, 0, 1, true), nullptr);
  EXPECT_THAT(mapped_.Map({.index = 7, .serial = 4}, Sent(theirs_), true),
              StatusIs(StatusCode::kInvalidArgument))
      << "it is still in use";
  mapped_.Leave(kId);
  EXPECT_EQ(CountMapped(), before_ + 1);
  ours[0] = std::byte{1};
  mapped_.Leave(kId);
  EXPECT_EQ(CountMapped(), before_);
  TE_EXPECT_OK(mapped_.Map({.index = 7, .serial = 4}, Sent(theirs_), true));
}

TEST_F(MappedMemoryTest, ANewMappingTakesThePlaceOfTheOld) {
  TE_ASSERT_OK(mapped_.Map({.index = 7, .serial = 3}, Sent(theirs_), true));
  const MappableBytes others(kBytes);
  others.data()[0] = std::byte{9};
  constexpr MappingId kNew = {.index = 7, .serial = 4};
  TE_ASSERT_OK(mapped_.Map(kNew, Sent(others), true));
  EXPECT_EQ(mapped_.Enter({.index = 7, .serial = 3}, 0, 1, true), nullptr);
  std::byte* const ours = mapped_.Enter(kNew, 0, 1, true);
  ASSERT_NE(ours, nullptr);
  EXPECT_EQ(*ours, std::byte{9});
  mapped_.Leave(kNew);
  mapped_.UnmapAll();
  EXPECT_EQ(CountMapped(), before_ + 1) << "which is the test's own";
}

// Whatever the owner does meanwhile, who is inside finds the bytes of the
// mapping that he has asked for.
TEST_F(MappedMemoryTest, NobodyIsInsideWhatIsUnmapped) {
  constexpr uint32_t kRounds = 300;
  std::atomic<uint32_t> serial{1};
  std::atomic<uint64_t> entered{0};
  std::atomic<bool> over{false};
  TE_ASSERT_OK_AND_ASSIGN(
      Thread user, Thread::Start({.name = "user"}, [&] {
        while (!over) {
          const MappingId id = {.index = 7, .serial = serial};
          const std::byte* const bytes = mapped_.Enter(id, 0, kBytes, false);
          if (bytes == nullptr) continue;
          uint32_t found = 0;
          memcpy(&found, bytes, sizeof(found));
          EXPECT_EQ(found, id.serial);
          memcpy(&found, bytes + kBytes - sizeof(found), sizeof(found));
          EXPECT_EQ(found, id.serial);
          mapped_.Leave(id);
          ++entered;
        }
      }));
  // Says it again and again.
  TE_ASSERT_OK_AND_ASSIGN(Thread owner, Thread::Start({.name = "owner"}, [&] {
                            while (!over) {
                              mapped_.Unmap(8);
                              if (entered % 3 == 0) mapped_.Unmap(7);
                            }
                          }));
  for (uint32_t i = 1; i <= kRounds; ++i) {
    const MappableBytes bytes(kBytes);
    memcpy(bytes.data(), &i, sizeof(i));
    memcpy(bytes.data() + kBytes - sizeof(i), &i, sizeof(i));
    serial = i;
    const uint64_t before = entered;
    do {
      mapped_.Map({.index = 7, .serial = i}, Sent(bytes), false).IgnoreError();
    } while (entered == before);
  }
  over = true;
  user.Join();
  owner.Join();
  mapped_.UnmapAll();
  EXPECT_EQ(CountMapped(), before_);
}

}  // namespace
}  // namespace te::shm
