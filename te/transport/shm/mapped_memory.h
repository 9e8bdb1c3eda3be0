#ifndef TE_TRANSPORT_SHM_MAPPED_MEMORY_H_
#define TE_TRANSPORT_SHM_MAPPED_MEMORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"
#include "te/transport/shm/mapping_id.h"

namespace te::shm {

// Memory of an owner that this process, its peer, has mapped. Thread-safe;
// Enter and Leave take no lock.
class MappedMemory {
 public:
  MappedMemory() = default;
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  // Nobody is in it any more.
  ~MappedMemory();

  // Maps a file that the owner has sent, as a whole, in place of what has been
  // there. INVALID_ARGUMENT unless its length is sealed: to touch what is
  // behind the end would end this process (SIGBUS). Nothing of the two is to be
  // trusted.
  absl::Status Map(MappingId id, UniqueFd fd, bool writable);
  // Unmaps what is there, as soon as nobody is in it.
  void Unmap(uint32_t index);
  void UnmapAll();

  // Where those bytes of a mapping are in this process, until Leave. Null: it
  // is not mapped, or not so long, or not writable.
  std::byte* Enter(MappingId id, uint64_t offset, uint64_t bytes, bool write);
  void Leave(MappingId id);

 private:
  // On cache lines of their own.
  struct alignas(64) Entry {
    // Serial (32 bits), closing (1), how many are in it (31). 0: free. Whoever
    // makes it one that is closing and that nobody is in unmaps it, and then
    // frees it.
    std::atomic<uint64_t> state{0};
    // Do not change while it is not free.
    std::byte* data = nullptr;
    size_t bytes = 0;
    bool writable = false;
  };

  static void Free(Entry& entry);
  static void Close(Entry& entry);
  static absl::Status MapInto(Entry& entry, UniqueFd fd, bool writable);

  // For changes.
  Mutex mutex_;
  // kMaxMappings of them, once there is a mapping.
  std::unique_ptr<Entry[]> storage_ ABSL_GUARDED_BY(mutex_);
  std::atomic<Entry*> entries_{nullptr};
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_MAPPED_MEMORY_H_
