#include "te/bench/bench_memory.h"

#include <numa.h>
#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/program/size_text.h"

namespace te::bench {
namespace {

bool IsForPrograms(const NumaNode& node) {
  return node.memory_bytes > 0 && node.allowed && !node.gpu.has_value();
}

MemoryLocation LocationOf(const BenchMemory::Buffer& buffer) {
  return MemoryLocation::Cpu(static_cast<uint16_t>(buffer.node));
}

}  // namespace

absl::StatusOr<BenchMemory> BenchMemory::Create(
    MemorySource source, absl::Span<const NumaNode> nodes, uint64_t size) {
  BenchMemory memory(source, size);
  for (const NumaNode& node : nodes) {
    if (nodes.size() > 1 && !IsForPrograms(node)) continue;
    Buffer buffer = {.node = node.index, .cpus = node.cpus};
    if (source == MemorySource::kUser) {
      // One node needs no policy, and containers often forbid setting one.
      TE_RETURN_IF_ERROR(memory.Map(buffer, nodes.size() > 1));
    }
    memory.buffers_.push_back(std::move(buffer));
  }
  return memory;
}

absl::Status BenchMemory::Map(Buffer& buffer, bool bind) {
  void* address = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return ErrnoToStatus(
        errno, absl::StrCat("map a buffer of ", program::FormatSize(size_),
                            " on NUMA node ", buffer.node,
                            "; a smaller --buffer_size may fit"));
  }
  if (bind && numa_available() == 0) {
    numa_tonode_memory(address, size_, buffer.node);
  }
  buffer.bytes = absl::MakeSpan(static_cast<std::byte*>(address), size_);
  return absl::OkStatus();
}

BenchMemory::~BenchMemory() {
  if (source_ != MemorySource::kUser) return;
  for (const Buffer& buffer : buffers_) {
    munmap(buffer.bytes.data(), buffer.bytes.size());
  }
}

absl::Status BenchMemory::AddTo(TransferEngine& engine, Access access,
                                Fill fill) {
  if (source_ == MemorySource::kUser) {
    for (const Buffer& buffer : buffers_) fill(buffer.bytes);
    return Register(engine, access);
  }
  for (Buffer& buffer : buffers_) {
    TE_RETURN_IF_ERROR(Allocate(engine, access, fill, buffer));
  }
  return absl::OkStatus();
}

absl::Status BenchMemory::Register(TransferEngine& engine, Access access) {
  std::vector<MemoryRegion> regions;
  for (const Buffer& buffer : buffers_) {
    regions.push_back({.address = buffer.bytes.data(),
                       .length = buffer.bytes.size(),
                       .location = LocationOf(buffer),
                       .access = access});
  }
  TE_ASSIGN_OR_RETURN(ids_, engine.RegisterMemory(regions));
  return absl::OkStatus();
}

absl::Status BenchMemory::Allocate(TransferEngine& engine, Access access,
                                   Fill fill, Buffer& buffer) {
  const absl::StatusOr<AllocatedMemory> memory =
      engine.AllocateMemory({.bytes = size_,
                             .location = LocationOf(buffer),
                             .access = access,
                             .initialize = fill});
  if (!memory.ok()) {
    return absl::Status(memory.status().code(),
                        absl::StrCat("--memory=engine, --buffer_size=", size_,
                                     ": ", memory.status().message()));
  }
  buffer.bytes = absl::MakeSpan(memory->address, memory->length);
  ids_.push_back(memory->id);
  return absl::OkStatus();
}

absl::Status BenchMemory::RemoveFrom(TransferEngine& engine, Duration timeout) {
  absl::Status status;
  for (const BufferId id : std::exchange(ids_, {})) {
    status.Update(source_ == MemorySource::kUser
                      ? engine.UnregisterMemory(id, timeout)
                      : engine.FreeMemory(id, timeout));
  }
  if (source_ == MemorySource::kEngine) {
    for (Buffer& buffer : buffers_) buffer.bytes = {};
  }
  return status;
}

}  // namespace te::bench
