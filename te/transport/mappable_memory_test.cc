#include "te/transport/mappable_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/transport/huge_pages.h"

namespace te {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kBytes = 8 << 20;
const MemoryLocation kAnywhere;

// Bytes of memory that the file has.
uint64_t FileMemory(const MappableMemory& memory) {
  struct stat file = {};
  EXPECT_EQ(fstat(memory.fd(), &file), 0);
  return static_cast<uint64_t>(file.st_blocks) * 512;
}

uint64_t FileBytes(const MappableMemory& memory) {
  struct stat file = {};
  EXPECT_EQ(fstat(memory.fd(), &file), 0);
  return static_cast<uint64_t>(file.st_size);
}

// What the kernel says of the mapping, in KiB: "KernelPageSize".
std::map<std::string, uint64_t> MappingFields(const MappableMemory& memory) {
  std::ifstream smaps("/proc/self/smaps");
  const std::string begin =
      absl::StrCat(absl::Hex(reinterpret_cast<uint64_t>(memory.data())), "-");
  std::map<std::string, uint64_t> fields;
  bool within = false;
  for (std::string line; std::getline(smaps, line);) {
    if (absl::StartsWith(line, begin)) within = true;
    if (!within) continue;
    if (absl::StartsWith(line, "VmFlags")) break;
    char name[64];
    unsigned long kib = 0;
    if (sscanf(line.c_str(), "%63[^:]: %lu kB", name, &kib) == 2) {
      fields[name] = kib;
    }
  }
  return fields;
}

bool MachineHasReservedPages() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    unsigned long count = 0;
    if (sscanf(line.c_str(), "HugePages_Free: %lu", &count) == 1) {
      return count >= 2 * kBytes >> 20;
    }
  }
  return false;
}

class HugePagesTest : public testing::TestWithParam<HugePages> {};

TEST_P(HugePagesTest, SaysWhatThePagesAre) {
  const auto memory = MappableMemory::Allocate(kBytes, kAnywhere, GetParam());
  if (GetParam() == HugePages::kRequired && !MachineHasReservedPages()) {
    EXPECT_THAT(memory, StatusIs(absl::StatusCode::kResourceExhausted,
                                 AllOf(HasSubstr("8 MiB on huge pages"),
                                       HasSubstr("sysctl vm.nr_hugepages"))));
    return;
  }
  TE_ASSERT_OK(memory);
  memset(memory->data(), 1, kBytes);
  auto fields = MappingFields(*memory);
  const uint64_t page_kib = fields["KernelPageSize"];
  ASSERT_GT(page_kib, 0u);
  if (absl::StrContains(memory->pages(), "hugetlb")) {
    EXPECT_EQ(memory->pages(),
              absl::StrCat(page_kib >> 10, " MiB pages (hugetlb)"));
    EXPECT_NE(GetParam(), HugePages::kNever);
    return;
  }
  EXPECT_NE(GetParam(), HugePages::kRequired);
  EXPECT_THAT(memory->pages(),
              testing::StartsWith(absl::StrCat(page_kib, " KiB pages")));
  if (!absl::StrContains(memory->pages(), "transparent")) {
    EXPECT_EQ(fields["ShmemPmdMapped"], 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, HugePagesTest,
                         testing::Values(HugePages::kIfAvailable,
                                         HugePages::kRequired,
                                         HugePages::kNever));

TEST(MappableMemoryTest, AnotherMappingSeesTheBytes) {
  TE_ASSERT_OK_AND_ASSIGN(
      const MappableMemory memory,
      MappableMemory::Allocate(kBytes, kAnywhere, HugePages::kIfAvailable));
  EXPECT_EQ(memory.size(), kBytes);
  EXPECT_EQ(memory.data()[kBytes - 1], std::byte{0});
  auto* other = static_cast<std::byte*>(mmap(
      nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0));
  ASSERT_NE(other, MAP_FAILED);
  memory.data()[kBytes - 1] = std::byte{7};
  EXPECT_EQ(other[kBytes - 1], std::byte{7});
  other[0] = std::byte{9};
  EXPECT_EQ(memory.data()[0], std::byte{9});
  munmap(other, kBytes);
}

TEST(MappableMemoryTest, ItsLengthIsThatOfWholePagesAndSealed) {
  TE_ASSERT_OK_AND_ASSIGN(
      const MappableMemory memory,
      MappableMemory::Allocate(1, kAnywhere, HugePages::kIfAvailable));
  EXPECT_EQ(memory.size(), 1u);
  // One byte is not worth a huge page.
  const auto page = static_cast<uint64_t>(getpagesize());
  EXPECT_EQ(FileBytes(memory), page);
  EXPECT_EQ(ftruncate(memory.fd(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(memory.fd(), static_cast<off_t>(2 * page)), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(fcntl(memory.fd(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(fcntl(memory.fd(), F_GETFD), FD_CLOEXEC);
}

TEST(MappableMemoryTest, DiscardGivesThePagesBackAlsoIfTheyAreMappedElsewhere) {
  TE_ASSERT_OK_AND_ASSIGN(
      MappableMemory memory,
      MappableMemory::Allocate(kBytes, kAnywhere, HugePages::kNever));
  auto* other = static_cast<std::byte*>(
      mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, memory.fd(), 0));
  ASSERT_NE(other, MAP_FAILED);
  memset(memory.data(), 1, kBytes);
  EXPECT_EQ(other[0], std::byte{1});
  EXPECT_EQ(FileMemory(memory), kBytes);
  memory.Discard();
  EXPECT_EQ(FileMemory(memory), 0u);
  EXPECT_EQ(FileBytes(memory), kBytes);
  EXPECT_EQ(other[0], std::byte{0});
  munmap(other, kBytes);
}

TEST(MappableMemoryTest, MovesAndLeavesNothingBehind) {
  const size_t mappings = CountMappings("memfd:te-memory");
  const size_t descriptors = CountOpenDescriptors();
  {
    TE_ASSERT_OK_AND_ASSIGN(
        MappableMemory memory,
        MappableMemory::Allocate(kBytes, kAnywhere, HugePages::kNever));
    std::byte* const data = memory.data();
    MappableMemory moved = std::move(memory);
    EXPECT_EQ(moved.data(), data);
    EXPECT_EQ(CountMappings("memfd:te-memory"), mappings + 1);
    // Unmaps what it had.
    TE_ASSERT_OK_AND_ASSIGN(
        moved, MappableMemory::Allocate(1, kAnywhere, HugePages::kNever));
    EXPECT_EQ(moved.size(), 1u);
    EXPECT_EQ(CountMappings("memfd:te-memory"), mappings + 1);
  }
  EXPECT_EQ(CountMappings("memfd:te-memory"), mappings);
  EXPECT_EQ(CountOpenDescriptors(), descriptors);
  MappableMemory().Discard();
}

TEST(MappableMemoryTest, LiesOnTheNodeThatWasAskedFor) {
  const auto memory = MappableMemory::Allocate(kBytes, MemoryLocation::Cpu(0),
                                               HugePages::kIfAvailable);
  // Where there are several nodes, a container may forbid choosing one.
  if (absl::IsPermissionDenied(memory.status())) {
    EXPECT_THAT(memory.status().message(), HasSubstr("SYS_NICE"));
    return;
  }
  TE_ASSERT_OK(memory);
  memset(memory->data(), 1, kBytes);
}

TEST(MappableMemoryTest, SaysWhatIsWrong) {
  const auto allocate = [](size_t bytes, MemoryLocation location) {
    return MappableMemory::Allocate(bytes, location, HugePages::kIfAvailable)
        .status();
  };
  EXPECT_THAT(
      allocate(0, kAnywhere),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 bytes")));
  EXPECT_THAT(allocate(kBytes, MemoryLocation::Cuda(1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("cuda:1"), HasSubstr("\"cpu:0\""))));
  EXPECT_THAT(allocate(kBytes, MemoryLocation::Cpu(65535)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("cpu:65535"), HasSubstr("cpu:0 to"))));
  for (const size_t bytes : {size_t{1} << 60, SIZE_MAX}) {
    EXPECT_THAT(allocate(bytes, kAnywhere),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("with swap, this machine has")));
  }
}

// And not the process, with SIGXFSZ.
TEST(MappableMemoryTest, TheLimitOnTheSizeOfFilesEndsTheAllocation) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = kBytes - 1;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto memory =
      MappableMemory::Allocate(kBytes - 1, kAnywhere, HugePages::kNever);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(memory, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("ulimit -f")));
}

TEST(MappableMemoryTest, DescriptorsThatRunOutEndTheAllocation) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto memory =
      MappableMemory::Allocate(kBytes, kAnywhere, HugePages::kNever);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(memory, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("EMFILE")));
}

}  // namespace
}  // namespace te
