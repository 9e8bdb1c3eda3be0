#include "te/core/allocated_buffers.h"

#include <utility>

#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te {

absl::StatusOr<AllocatedMemory> AllocatedBuffers::Allocate(
    const AllocationRequest& request, Register register_memory) {
  TE_ASSIGN_OR_RETURN(MappableMemory memory,
                      MappableMemory::Allocate(request.bytes, request.location,
                                               request.huge_pages));
  LOG(INFO) << "allocated " << request.bytes << " bytes of "
            << request.location.ToString() << " on " << memory.pages();
  if (request.initialize) {
    request.initialize(absl::MakeSpan(memory.data(), memory.size()));
  }
  AllocatedMemory allocated = {.address = memory.data(),
                               .length = memory.size()};
  TE_ASSIGN_OR_RETURN(allocated.id,
                      register_memory({.address = memory.data(),
                                       .length = memory.size(),
                                       .location = request.location,
                                       .access = request.access},
                                      memory.fd()));
  MutexLock lock(mutex_);
  memory_[allocated.id.value] = std::move(memory);
  return allocated;
}

absl::Status AllocatedBuffers::Free(BufferId id, Unregister unregister) {
  if (!Contains(id)) {
    return absl::NotFoundError("no such buffer is allocated (any more)");
  }
  TE_RETURN_IF_ERROR(unregister());
  MappableMemory memory;
  {
    MutexLock lock(mutex_);
    const auto found = memory_.find(id.value);
    CHECK(found != memory_.end()) << "a buffer was unregistered twice";
    memory = std::move(found->second);
    memory_.erase(found);
  }
  // Peers that are slow to unmap it do not keep its pages.
  memory.Discard();
  return absl::OkStatus();
}

bool AllocatedBuffers::Contains(BufferId id) const {
  MutexLock lock(mutex_);
  return memory_.contains(id.value);
}

}  // namespace te
