#include "te/transport/mappable_memory.h"

#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/file_size_limit.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

// What /proc/<pid>/maps shows.
constexpr char kName[] = "te-memory";

constexpr char kTransparentFolder[] = "/sys/kernel/mm/transparent_hugepage/";

std::string SizeText(uint64_t bytes) {
  if (bytes % (1 << 20) == 0) return absl::StrCat(bytes >> 20, " MiB");
  if (bytes % (1 << 10) == 0) return absl::StrCat(bytes >> 10, " KiB");
  return absl::StrCat(bytes, " bytes");
}

size_t SmallPageBytes() { return static_cast<size_t>(getpagesize()); }

// The file's first line; empty if there is no such file.
std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

absl::Status TooMuch(size_t bytes, absl::string_view of, uint64_t there_is) {
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot allocate ", SizeText(bytes), ": ", of, " ",
                   SizeText(there_is), "; ask for less"));
}

// Pages come when they are touched, and who touches one that cannot be had gets
// a signal. So what is more than the system could ever give is refused here, as
// it is for private memory.
absl::Status CheckSize(size_t bytes) {
  if (bytes == 0) {
    return absl::InvalidArgumentError("cannot allocate 0 bytes; ask for some");
  }
  struct sysinfo system = {};
  if (sysinfo(&system) != 0) return ErrnoToStatus(errno, "sysinfo");
  const uint64_t memory =
      (uint64_t{system.totalram} + system.totalswap) * system.mem_unit;
  if (bytes > memory) {
    return TooMuch(bytes, "with swap, this machine has", memory);
  }
  return absl::OkStatus();
}

// Of /proc/meminfo, in bytes; nothing if it is not there.
std::optional<uint64_t> MemoryInfo(absl::string_view name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    uint64_t kilobytes = 0;
    if (absl::ConsumePrefix(&rest, name) && absl::ConsumePrefix(&rest, ":") &&
        absl::ConsumeSuffix(&rest, " kB") &&
        absl::SimpleAtoi(rest, &kilobytes)) {
      return kilobytes << 10;
    }
  }
  return std::nullopt;
}

// The least that such a file says of a control group and of those it is in.
void TakeLimits(const std::string& folder, std::string group,
                absl::string_view file, std::optional<uint64_t>& least) {
  for (;;) {
    uint64_t bytes = 0;
    if (absl::SimpleAtoi(ReadLine(absl::StrCat(folder, group, "/", file)),
                         &bytes)) {
      least = std::min(least.value_or(bytes), bytes);
    }
    if (group.empty()) return;
    group.erase(group.rfind('/'));
  }
}

// What the process may have by its control groups, of either version
// (cgroups(7)); nothing if there is no limit.
std::optional<uint64_t> ContainerLimit() {
  std::optional<uint64_t> least;
  std::ifstream file("/proc/self/cgroup");
  // "4:memory:/group", or "0::/group" of version 2.
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3 || !absl::StartsWith(parts[2], "/")) continue;
    if (parts[1] == "memory") {
      TakeLimits("/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes",
                 least);
    } else if (parts[1].empty()) {
      TakeLimits("/sys/fs/cgroup", parts[2], "memory.max", least);
    }
  }
  return least;
}

// Pages are taken at once. Where there are too few, the kernel would not say
// so, but end some process.
absl::Status CheckRoom(size_t bytes) {
  const std::optional<uint64_t> limit = ContainerLimit();
  if (limit && bytes > *limit) {
    return TooMuch(bytes, "the limit of the container (cgroup) is", *limit);
  }
  const std::optional<uint64_t> available = MemoryInfo("MemAvailable");
  if (!available) return absl::OkStatus();
  const uint64_t room = *available + MemoryInfo("SwapFree").value_or(0);
  if (bytes > room) {
    return TooMuch(bytes, "what is available of this machine's memory is",
                   room);
  }
  return absl::OkStatus();
}

absl::Status CheckLocation(size_t bytes, const MemoryLocation& location) {
  if (location.kind() == MemoryLocation::Kind::kAny) return absl::OkStatus();
  if (location.kind() != MemoryLocation::Kind::kCpu) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot allocate memory of ", location.ToString(),
        ", but of NUMA nodes (\"cpu:0\") and of any (\"*\"); the device's own "
        "library allocates its memory"));
  }
  const int last = numa_max_node();
  if (location.index() > last) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot allocate memory of ", location.ToString(),
                     ": the NUMA nodes here are cpu:0 to cpu:", last));
  }
  const long long node_bytes = numa_node_size64(location.index(), nullptr);
  if (node_bytes >= 0 && bytes > static_cast<uint64_t>(node_bytes)) {
    return TooMuch(
        bytes,
        absl::StrCat("NUMA node ", location.index(), ", which it is for, has"),
        static_cast<uint64_t>(node_bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> CreateFile(unsigned flags) {
  UniqueFd fd(memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (!fd.valid()) {
    return ErrnoToStatus(errno, "memfd_create for memory to be shared");
  }
  return fd;
}

bool Chooses(absl::string_view text, absl::string_view value) {
  return absl::StrContains(text, absl::StrCat("[", value, "]"));
}

// Whether the kernel gives transparent huge pages to shared memory that asks
// for them. The size's own setting goes before that of all (Linux 6.11).
bool SharedMemoryMayBeHuge() {
  const std::string folder = kTransparentFolder;
  uint64_t bytes = 0;
  if (!absl::SimpleAtoi(ReadLine(folder + "hpage_pmd_size"), &bytes)) {
    return false;
  }
  std::string setting = ReadLine(
      absl::StrCat(folder, "hugepages-", bytes >> 10, "kB/shmem_enabled"));
  if (setting.empty() || Chooses(setting, "inherit")) {
    setting = ReadLine(folder + "shmem_enabled");
  }
  return Chooses(setting, "always") || Chooses(setting, "within_size") ||
         Chooses(setting, "advise") || Chooses(setting, "force");
}

// `why` the memory cannot lie on reserved pages, with what to do.
absl::Status NoReservedPages(size_t bytes, size_t page_bytes,
                             const absl::Status& why) {
  const std::string free =
      ReadLine(absl::StrCat("/sys/kernel/mm/hugepages/hugepages-",
                            page_bytes >> 10, "kB/free_hugepages"));
  return absl::ResourceExhaustedError(absl::StrCat(
      "cannot allocate ", SizeText(bytes), " on huge pages: ", why.message(),
      "; it takes ", (bytes + page_bytes - 1) / page_bytes, " pages of ",
      SizeText(page_bytes), ", and ", free.empty() ? "none" : free,
      " of the machine are free. Reserve some (sysctl vm.nr_hugepages), or do "
      "without"));
}

}  // namespace

MappableMemory& MappableMemory::operator=(MappableMemory&& other) noexcept {
  if (this == &other) return *this;
  Unmap();
  fd_ = std::move(other.fd_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  file_bytes_ = std::exchange(other.file_bytes_, 0);
  pages_ = std::exchange(other.pages_, {});
  return *this;
}

void MappableMemory::Unmap() {
  if (data_ != nullptr) munmap(data_, file_bytes_);
}

absl::StatusOr<MappableMemory> MappableMemory::Allocate(
    size_t bytes, const MemoryLocation& location, HugePages huge_pages) {
  TE_RETURN_IF_ERROR(CheckSize(bytes));
  TE_RETURN_IF_ERROR(CheckLocation(bytes, location));
  if (huge_pages != HugePages::kNever) {
    absl::StatusOr<MappableMemory> memory =
        OnReservedPages(bytes, location, huge_pages);
    if (memory.ok() || huge_pages == HugePages::kRequired) return memory;
  }
  return OnOrdinaryPages(bytes, location, huge_pages);
}

// With the file's length, and no page yet.
absl::StatusOr<MappableMemory> MappableMemory::Map(UniqueFd fd, size_t bytes,
                                                   size_t page_bytes) {
  MappableMemory memory;
  memory.fd_ = std::move(fd);
  memory.size_ = bytes;
  memory.file_bytes_ = (bytes + page_bytes - 1) / page_bytes * page_bytes;
  TE_RETURN_IF_ERROR(CheckFileSizeLimit(memory.file_bytes_));
  const std::string what = SizeText(memory.file_bytes_);
  if (ftruncate(memory.fd(), static_cast<off_t>(memory.file_bytes_)) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("make a memory file of ", what));
  }
  void* const address =
      mmap(nullptr, memory.file_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED,
           memory.fd(), 0);
  if (address == MAP_FAILED) {
    return ErrnoToStatus(errno, absl::StrCat("map a memory file of ", what));
  }
  memory.data_ = static_cast<std::byte*>(address);
  return memory;
}

absl::StatusOr<MappableMemory> MappableMemory::OnReservedPages(
    size_t bytes, const MemoryLocation& location, HugePages huge_pages) {
  absl::StatusOr<UniqueFd> fd = CreateFile(MFD_HUGETLB);
  if (!fd.ok()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate huge pages here, so do without: ",
                     fd.status().message()));
  }
  // A file on huge pages has blocks of their size.
  struct stat file = {};
  if (fstat(fd->get(), &file) != 0) {
    return ErrnoToStatus(errno, "fstat a file on huge pages");
  }
  const auto page_bytes = static_cast<size_t>(file.st_blksize);
  if (huge_pages == HugePages::kIfAvailable && bytes < page_bytes) {
    return absl::ResourceExhaustedError("a huge page would be wasted");
  }
  // This reserves the pages, but of any node, and not against the limit of the
  // container: a later touch could still be a SIGBUS.
  absl::StatusOr<MappableMemory> memory =
      Map(*std::move(fd), bytes, page_bytes);
  if (!memory.ok()) return NoReservedPages(bytes, page_bytes, memory.status());
  TE_RETURN_IF_ERROR(memory->Bind(location));
  if (const absl::Status status = memory->Populate(); !status.ok()) {
    return NoReservedPages(bytes, page_bytes, status);
  }
  TE_RETURN_IF_ERROR(memory->SealLength());
  memory->pages_ = absl::StrCat(SizeText(page_bytes), " pages (hugetlb)");
  return memory;
}

absl::StatusOr<MappableMemory> MappableMemory::OnOrdinaryPages(
    size_t bytes, const MemoryLocation& location, HugePages huge_pages) {
  TE_RETURN_IF_ERROR(CheckRoom(bytes));
  TE_ASSIGN_OR_RETURN(UniqueFd fd, CreateFile(0));
  TE_ASSIGN_OR_RETURN(MappableMemory memory,
                      Map(std::move(fd), bytes, SmallPageBytes()));
  TE_RETURN_IF_ERROR(memory.Bind(location));
  TE_RETURN_IF_ERROR(memory.SealLength());
  memory.pages_ = absl::StrCat(SizeText(SmallPageBytes()), " pages");
  const bool huge = huge_pages != HugePages::kNever && SharedMemoryMayBeHuge();
  // A kernel without transparent huge pages refuses, and gives small ones.
  const int advised = madvise(memory.data_, memory.file_bytes_,
                              huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  if (huge && advised == 0) {
    absl::StrAppend(
        &memory.pages_,
        ", and huge ones where the kernel finds some (transparent)");
  }
  // Else it would be a peer that touches them first, on its node, at the
  // expense of its container, and with a SIGBUS where there is none to be had.
  const absl::Status populated = memory.Populate();
  if (absl::IsInvalidArgument(populated)) return memory;
  if (!populated.ok()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot allocate ", SizeText(bytes), ": ", populated.message(),
        "; is there so much free memory (free), also for this container?"));
  }
  return memory;
}

// Takes all pages now, and fails where a touch would be a signal.
// INVALID_ARGUMENT: the kernel cannot do that before Linux 5.14. Not
// MAP_POPULATE, which comes before the node is chosen and does not tell of
// failures, and not fallocate, which knows no nodes of huge pages.
absl::Status MappableMemory::Populate() {
  if (madvise(data_, file_bytes_, MADV_POPULATE_WRITE) == 0) {
    return absl::OkStatus();
  }
  return ErrnoToStatus(
      errno, "madvise(MADV_POPULATE_WRITE), which Linux has since 5.14,");
}

absl::Status MappableMemory::Bind(const MemoryLocation& location) {
  if (location.kind() == MemoryLocation::Kind::kAny) return absl::OkStatus();
  // Where there is one node alone, it needs no policy, and containers often
  // forbid setting one.
  if (numa_max_node() == 0) return absl::OkStatus();
  constexpr size_t kBits = sizeof(unsigned long) * CHAR_BIT;
  std::vector<unsigned long> nodes(location.index() / kBits + 1);
  nodes.back() = 1UL << location.index() % kBits;
  // It looks at one bit less than it is told.
  if (mbind(data_, file_bytes_, MPOL_BIND, nodes.data(),
            nodes.size() * kBits + 1, 0) == 0) {
    return absl::OkStatus();
  }
  const absl::string_view remedy =
      errno == EPERM ? "let the container make this call (Docker: --cap-add "
                       "SYS_NICE), or allocate memory of any node (\"*\")"
                     : "is it one that this process may use (cpuset), and has "
                       "it memory?";
  return ErrnoToStatus(errno,
                       absl::StrCat("choose NUMA node ", location.index(),
                                    " for memory with mbind; ", remedy));
}

absl::Status MappableMemory::SealLength() {
  if (fcntl(fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
      0) {
    return ErrnoToStatus(errno, "seal the length of a memory file");
  }
  return absl::OkStatus();
}

void MappableMemory::Discard() {
  if (data_ == nullptr) return;
  if (fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                static_cast<off_t>(file_bytes_)) != 0) {
    LOG(WARNING) << ErrnoToStatus(
        errno,
        "give the pages of a memory file back; they go with the last "
        "process that has mapped it");
  }
}

}  // namespace te
