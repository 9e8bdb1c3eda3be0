#include "te/transport/shm/mapped_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::shm {
namespace {

constexpr uint64_t kUsers = 0x7fffffff;
constexpr uint64_t kClosing = 0x80000000;

uint64_t OpenState(MappingId id) { return uint64_t{id.serial} << 32; }

}  // namespace

MappedMemory::~MappedMemory() {
  UnmapAll();
  MutexLock lock(mutex_);
  for (uint32_t i = 0; storage_ != nullptr && i < kMaxMappings; ++i) {
    CHECK_EQ(storage_[i].state.load(), 0u) << "somebody still copies";
  }
}

absl::Status MappedMemory::Map(MappingId id, UniqueFd fd, bool writable) {
  if (!id.valid() || id.index >= kMaxMappings) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no place ", id.index, " for a mapping"));
  }
  MutexLock lock(mutex_);
  if (storage_ == nullptr) {
    storage_ = std::make_unique<Entry[]>(kMaxMappings);
    entries_.store(storage_.get());
  }
  Entry& entry = storage_[id.index];
  Close(entry);
  // An owner takes memory back, and waits for those who use it, before it puts
  // something else in its place.
  if (entry.state.load() != 0) {
    return absl::InvalidArgumentError(
        "a mapping is to be replaced that is still in use");
  }
  TE_RETURN_IF_ERROR(MapInto(entry, std::move(fd), writable));
  entry.state.store(OpenState(id));
  return absl::OkStatus();
}

absl::Status MappedMemory::MapInto(Entry& entry, UniqueFd fd, bool writable) {
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  struct stat file = {};
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
      fstat(fd.get(), &file) != 0 || file.st_size <= 0) {
    return absl::InvalidArgumentError(
        "what was sent is no memory whose length is sealed");
  }
  const auto bytes = static_cast<size_t>(file.st_size);
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const data = mmap(nullptr, bytes, protection, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) {
    return ErrnoToStatus(
        errno, absl::StrCat("mmap of ", bytes, " bytes of a peer's memory"));
  }
  // Children of a fork have no use for it, and would keep it; and a peer's
  // memory does not belong into core dumps of this process.
  madvise(data, bytes, MADV_DONTFORK);
  madvise(data, bytes, MADV_DONTDUMP);
  entry.data = static_cast<std::byte*>(data);
  entry.bytes = bytes;
  entry.writable = writable;
  return absl::OkStatus();
}

void MappedMemory::Unmap(uint32_t index) {
  MutexLock lock(mutex_);
  if (storage_ != nullptr && index < kMaxMappings) Close(storage_[index]);
}

void MappedMemory::UnmapAll() {
  MutexLock lock(mutex_);
  for (uint32_t i = 0; storage_ != nullptr && i < kMaxMappings; ++i) {
    Close(storage_[i]);
  }
}

void MappedMemory::Close(Entry& entry) {
  // Not with fetch_or: the last one inside may be freeing it just now.
  uint64_t state = entry.state.load();
  do {
    if (state == 0 || (state & kClosing) != 0) return;
  } while (!entry.state.compare_exchange_weak(state, state | kClosing));
  if ((state & kUsers) == 0) Free(entry);
}

void MappedMemory::Free(Entry& entry) {
  munmap(entry.data, entry.bytes);
  entry.state.store(0);
}

std::byte* MappedMemory::Enter(MappingId id, uint64_t offset, uint64_t bytes,
                               bool write) {
  Entry* const entries = entries_.load(std::memory_order_acquire);
  if (entries == nullptr || !id.valid() || id.index >= kMaxMappings) {
    return nullptr;
  }
  Entry& entry = entries[id.index];
  uint64_t state = entry.state.load();
  do {
    if ((state & ~kUsers) != OpenState(id)) return nullptr;
  } while (!entry.state.compare_exchange_weak(state, state + 1));
  if (bytes <= entry.bytes && offset <= entry.bytes - bytes &&
      (entry.writable || !write)) {
    return entry.data + offset;
  }
  Leave(id);
  return nullptr;
}

void MappedMemory::Leave(MappingId id) {
  Entry& entry = entries_.load(std::memory_order_relaxed)[id.index];
  const uint64_t before = entry.state.fetch_sub(1);
  if ((before & kUsers) == 1 && (before & kClosing) != 0) Free(entry);
}

}  // namespace te::shm
