#include "te/bench/bench_memory.h"

#include <numa.h>
#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/memory_location.h"
#include "te/program/size_text.h"

namespace te::bench {
namespace {

bool IsForPrograms(const NumaNode& node) {
  return node.memory_bytes > 0 && node.allowed && !node.gpu.has_value();
}

}  // namespace

absl::StatusOr<BenchMemory> BenchMemory::Map(absl::Span<const NumaNode> nodes,
                                             uint64_t size) {
  BenchMemory memory;
  for (const NumaNode& node : nodes) {
    if (nodes.size() > 1 && !IsForPrograms(node)) continue;
    void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) {
      return ErrnoToStatus(
          errno, absl::StrCat("map a buffer of ", program::FormatSize(size),
                              " on NUMA node ", node.index,
                              "; a smaller --buffer_size may fit"));
    }
    // One node needs no policy, and containers often forbid setting one.
    if (nodes.size() > 1 && numa_available() == 0) {
      numa_tonode_memory(address, size, node.index);
    }
    memory.buffers_.push_back(
        {.node = node.index,
         .cpus = node.cpus,
         .bytes = absl::MakeSpan(static_cast<std::byte*>(address), size)});
  }
  return memory;
}

BenchMemory::~BenchMemory() {
  for (const Buffer& buffer : buffers_) {
    munmap(buffer.bytes.data(), buffer.bytes.size());
  }
}

std::vector<MemoryRegion> BenchMemory::Regions(Access access) const {
  std::vector<MemoryRegion> regions;
  for (const Buffer& buffer : buffers_) {
    regions.push_back(
        {.address = buffer.bytes.data(),
         .length = buffer.bytes.size(),
         .location = MemoryLocation::Cpu(static_cast<uint16_t>(buffer.node)),
         .access = access});
  }
  return regions;
}

}  // namespace te::bench
