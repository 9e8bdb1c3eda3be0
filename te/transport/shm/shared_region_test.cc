#include "te/transport/shm/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"

namespace te::shm {
namespace {

using testing::HasSubstr;
using Rights = SharedRegion::Rights;

constexpr size_t kBytes = 3 * 4096;

// What the other process gets, which is not this one's descriptor.
UniqueFd Sent(const SharedRegion& region) {
  return UniqueFd(fcntl(region.fd(), F_DUPFD_CLOEXEC, 0));
}

// A memfd of kBytes with those seals.
UniqueFd Sealed(int seals) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), kBytes), 0);
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(SharedRegionTest, BeginsAsZerosAndIsSeenByBoth) {
  TE_ASSERT_OK_AND_ASSIGN(const SharedRegion mine,
                          SharedRegion::Create("test", kBytes));
  TE_ASSERT_OK_AND_ASSIGN(
      const SharedRegion theirs,
      SharedRegion::Map(Sent(mine), kBytes, Rights::kReadAndWrite));
  ASSERT_EQ(mine.size(), kBytes);
  ASSERT_EQ(theirs.size(), kBytes);
  ASSERT_NE(mine.data(), theirs.data());
  for (size_t i = 0; i < kBytes; ++i) {
    ASSERT_EQ(mine.data()[i], std::byte{0});
  }
  mine.data()[kBytes - 1] = std::byte{7};
  EXPECT_EQ(theirs.data()[kBytes - 1], std::byte{7});
  theirs.data()[0] = std::byte{8};
  EXPECT_EQ(mine.data()[0], std::byte{8});
}

// Else one end could make the other one end by SIGBUS.
TEST(SharedRegionTest, ItsLengthCannotBeChanged) {
  TE_ASSERT_OK_AND_ASSIGN(const SharedRegion region,
                          SharedRegion::Create("test", kBytes));
  for (const off_t length : {off_t{0}, off_t{kBytes - 1}, off_t{kBytes + 1}}) {
    EXPECT_EQ(ftruncate(region.fd(), length), -1);
    EXPECT_EQ(errno, EPERM);
  }
}

TEST(SharedRegionTest, OneThatCouldShrinkOrGrowIsRefused) {
  for (const int seals : {0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE}) {
    EXPECT_THAT(SharedRegion::Map(Sealed(seals), kBytes, Rights::kRead),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("length is sealed")))
        << "seals " << seals;
  }
  // It is the seals that matter.
  TE_EXPECT_OK(SharedRegion::Map(Sealed(F_SEAL_SHRINK | F_SEAL_GROW), kBytes,
                                 Rights::kReadAndWrite));
}

TEST(SharedRegionTest, AnotherLengthThanAgreedIsRefused) {
  TE_ASSERT_OK_AND_ASSIGN(const SharedRegion region,
                          SharedRegion::Create("test", kBytes));
  for (const size_t bytes : {size_t{1}, kBytes - 1, kBytes + 1, kBytes * 2}) {
    EXPECT_THAT(SharedRegion::Map(Sent(region), bytes, Rights::kRead),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat(bytes))));
  }
}

TEST(SharedRegionTest, WhatIsNoSharedMemoryIsRefused) {
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd write_end(pipe_ends[1]);
  UniqueFd cases[] = {UniqueFd(), UniqueFd(pipe_ends[0]),
                      UniqueFd(open("/dev/zero", O_RDWR | O_CLOEXEC)),
                      UniqueFd(open("/", O_RDONLY | O_CLOEXEC))};
  for (UniqueFd& fd : cases) {
    EXPECT_THAT(SharedRegion::Map(std::move(fd), kBytes, Rights::kRead),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

// The table of grants is what the owner, and nobody else, says.
TEST(SharedRegionTest, WhatIsSealedAgainstWritesIsOnlyReadByOthers) {
  TE_ASSERT_OK_AND_ASSIGN(SharedRegion mine,
                          SharedRegion::Create("test", kBytes));
  TE_ASSERT_OK(mine.SealAgainstOthersWrites());
  EXPECT_THAT(SharedRegion::Map(Sent(mine), kBytes, Rights::kReadAndWrite),
              StatusIs(absl::StatusCode::kPermissionDenied));
  TE_ASSERT_OK_AND_ASSIGN(const SharedRegion theirs,
                          SharedRegion::Map(Sent(mine), kBytes, Rights::kRead));
  mine.data()[1] = std::byte{5};
  EXPECT_EQ(theirs.data()[1], std::byte{5});

  EXPECT_EQ(mprotect(theirs.data(), kBytes, PROT_READ | PROT_WRITE), -1);
  const char byte = 1;
  EXPECT_EQ(pwrite(mine.fd(), &byte, 1, 0), -1);
  EXPECT_EQ(
      fallocate(mine.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
      -1);
  // Nor by opening it again, which gives a new file description.
  UniqueFd again(open(absl::StrCat("/proc/self/fd/", mine.fd()).c_str(),
                      O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(again.valid());
  EXPECT_THAT(
      SharedRegion::Map(std::move(again), kBytes, Rights::kReadAndWrite),
      StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(theirs.data()[1], std::byte{5});
}

TEST(SharedRegionTest, NoFurtherSealsCanBeAddedToASealedOne) {
  TE_ASSERT_OK_AND_ASSIGN(SharedRegion region,
                          SharedRegion::Create("test", kBytes));
  TE_ASSERT_OK(region.SealAgainstOthersWrites());
  EXPECT_EQ(fcntl(region.fd(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_FALSE(region.SealAgainstOthersWrites().ok());
}

TEST(SharedRegionTest, OutlivesWhoMadeIt) {
  SharedRegion theirs;
  {
    TE_ASSERT_OK_AND_ASSIGN(const SharedRegion mine,
                            SharedRegion::Create("test", kBytes));
    mine.data()[0] = std::byte{3};
    TE_ASSERT_OK_AND_ASSIGN(
        theirs, SharedRegion::Map(Sent(mine), kBytes, Rights::kRead));
  }
  EXPECT_EQ(theirs.data()[0], std::byte{3});
}

TEST(SharedRegionTest, ALengthThatCannotBeIsAnError) {
  EXPECT_FALSE(SharedRegion::Create("test", 0).ok());
  EXPECT_FALSE(SharedRegion::Create("test", SIZE_MAX).ok());
}

// Beyond the limit the kernel would end the process.
TEST(SharedRegionTest, TheLimitOnFilesIsAnError) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit low = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  TE_EXPECT_OK(SharedRegion::Create("te-test", 4096));
  EXPECT_THAT(SharedRegion::Create("te-test", 4097),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       testing::HasSubstr("ulimit -f")));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
}

}  // namespace
}  // namespace te::shm
