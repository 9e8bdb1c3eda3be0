#ifndef TE_CORE_ALLOCATED_BUFFERS_H_
#define TE_CORE_ALLOCATED_BUFFERS_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/mutex.h"
#include "te/core/request.h"
#include "te/transport/mappable_memory.h"

namespace te {

// Owns the memory of those buffers that an engine has allocated itself.
// Whoever uses the memory must be gone before this is destroyed, which unmaps
// what is left. Thread-safe; holds no lock while it allocates, registers or
// frees.
class AllocatedBuffers {
 public:
  // `fd` is that of a file which begins with the region; see LocalMemory.
  using Register = absl::FunctionRef<absl::StatusOr<BufferId>(
      const MemoryRegion& region, int fd)>;
  using Unregister = absl::FunctionRef<absl::Status()>;

  // Allocates memory, and calls `register_memory` once. Its errors are
  // returned, and the memory is gone then; so are those of MappableMemory.
  absl::StatusOr<AllocatedMemory> Allocate(const AllocationRequest& request,
                                           Register register_memory);

  // Frees the memory after `unregister`. If that fails, the memory stays as it
  // is, and its error is returned. Of several callers at a time, all call
  // their `unregister`, of which one alone may return OK. kNotFound: nothing
  // (any more) is allocated for the buffer.
  absl::Status Free(BufferId id, Unregister unregister);

  // Whether the buffer has memory of this.
  bool Contains(BufferId id) const;

 private:
  mutable Mutex mutex_;
  // By BufferId::value.
  absl::flat_hash_map<uint64_t, MappableMemory> memory_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_ALLOCATED_BUFFERS_H_
