// What a TransferEngine does for memory: registering, allocating, and taking it
// back.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/core/allocated_buffers.h"
#include "te/core/batch_state.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/transport_keys.h"
#include "te/transport/local_memory.h"
#include "te/transport/transport.h"

namespace te {
namespace {

// Within which connections that have been cut let go of memory.
constexpr Duration kReleaseTime = std::chrono::seconds(10);
// Of waiting for peers that copy by themselves.
constexpr Duration kReleaseStep = std::chrono::milliseconds(20);
// What peers get to end their use of a buffer that could not be published.
constexpr Duration kUndoTime = std::chrono::seconds(1);
// Within which a batch that was aborted lets go of its local memory.
constexpr Duration kAbortTime = std::chrono::milliseconds(500);

constexpr int kNoFile = LocalMemory().fd;

// What transports may say of a buffer fits into a descriptor.
static_assert(kMaxKeyBytes <= TransportKeys::kMaxKeyBytes);

MonotonicTime In(Duration timeout) {
  return DeadlineAfter(RealClock().Now(), timeout);
}

}  // namespace

absl::StatusOr<BufferId> TransferEngine::RegisterMemory(
    const MemoryRegion& region) {
  TE_ASSIGN_OR_RETURN(const std::vector<BufferId> ids,
                      RegisterMemory(absl::MakeConstSpan(&region, 1)));
  return ids.front();
}

absl::StatusOr<std::vector<BufferId>> TransferEngine::RegisterMemory(
    absl::Span<const MemoryRegion> regions) {
  std::vector<BufferId> ids;
  bool exposed = false;
  for (const MemoryRegion& region : regions) {
    const absl::StatusOr<BufferId> id = RegisterBuffer(region, kNoFile);
    if (!id.ok()) return UndoRegistration(ids, id.status());
    if (UsesSharedMemory()) page_size_hint_.Consider(region);
    ids.push_back(*id);
    exposed |= region.access != Access::kLocalOnly;
  }
  // Nobody needs to hear of the others.
  const absl::Status published =
      exposed ? publisher_->Publish() : absl::OkStatus();
  if (!published.ok()) return UndoRegistration(ids, published);
  return ids;
}

// Without telling anybody. `fd` is of a file that begins with the region, which
// peers of this host can map; see LocalMemory.
absl::StatusOr<BufferId> TransferEngine::RegisterBuffer(
    const MemoryRegion& region, int fd) {
  if (region.location.kind() == MemoryLocation::Kind::kCuda) {
    return absl::UnimplementedError(absl::StrCat(
        "memory of ", region.location.ToString(),
        " cannot be registered: no transport of this engine can move it"));
  }
  return buffers_.Register(region, [this, fd](LocalMemory memory) {
    memory.fd = fd;
    return RegisterWithTransports(memory);
  });
}

bool TransferEngine::UsesSharedMemory() const {
  return std::any_of(
      transports_.begin(), transports_.end(),
      [](const auto& transport) { return transport->name() == "shm"; });
}

// With all of them or none.
absl::StatusOr<TransportKeys> TransferEngine::RegisterWithTransports(
    const LocalMemory& memory) {
  TransportKeys keys;
  for (size_t i = 0; i < transports_.size(); ++i) {
    const absl::string_view name = transports_[i]->name();
    const absl::StatusOr<std::string> key =
        transports_[i]->RegisterMemory(memory);
    absl::Status status = key.status();
    if (key.ok() && !key->empty()) status = keys.Add(name, *key);
    if (status.ok()) continue;
    UnregisterFromTransports(memory.slot, key.ok() ? i + 1 : i);
    return absl::Status(status.code(),
                        absl::StrCat("cannot register memory with transport ",
                                     name, ": ", status.message()));
  }
  return keys;
}

// From the first `count` of them, the last one first.
void TransferEngine::UnregisterFromTransports(uint32_t slot, size_t count) {
  for (size_t i = count; i > 0; --i) transports_[i - 1]->UnregisterMemory(slot);
}

// Peers may have seen the buffers, and use them already.
absl::Status TransferEngine::UndoRegistration(absl::Span<const BufferId> ids,
                                              const absl::Status& why) {
  for (const BufferId id : ids) {
    const absl::Status released = Release(id, kUndoTime);
    if (!released.ok()) {
      return absl::Status(
          why.code(),
          absl::StrCat(why.message(),
                       "; besides, the memory is still in use, and must not be "
                       "freed before the engine: ",
                       released.message()));
    }
  }
  return why;
}

absl::Status TransferEngine::UnregisterMemory(BufferId id, Duration timeout) {
  if (allocated_.Contains(id)) {
    return absl::InvalidArgumentError(
        "the buffer is memory that the engine has allocated, which is not "
        "unregistered alone; FreeMemory does both");
  }
  return ReleaseAndPublish(id, timeout);
}

absl::StatusOr<AllocatedMemory> TransferEngine::AllocateMemory(
    const AllocationRequest& request) {
  TE_ASSIGN_OR_RETURN(
      const AllocatedMemory memory,
      allocated_.Allocate(request, [this](const MemoryRegion& region, int fd) {
        return RegisterBuffer(region, fd);
      }));
  if (request.access == Access::kLocalOnly) return memory;
  const absl::Status published = publisher_->Publish();
  if (published.ok()) return memory;
  const absl::Status freed =
      allocated_.Free(memory.id, [&] { return Release(memory.id, kUndoTime); });
  if (freed.ok()) return published;
  return absl::Status(
      published.code(),
      absl::StrCat(published.message(),
                   "; besides, the memory is still in use, and stays allocated "
                   "as long as the engine: ",
                   freed.message()));
}

absl::Status TransferEngine::FreeMemory(BufferId id, Duration timeout) {
  if (!allocated_.Contains(id) && buffers_.Contains(id)) {
    return absl::InvalidArgumentError(
        "the buffer is memory of its owner's that was registered, not "
        "allocated "
        "by the engine; use UnregisterMemory");
  }
  return allocated_.Free(id, [&] { return ReleaseAndPublish(id, timeout); });
}

absl::Status TransferEngine::ReleaseAndPublish(BufferId id, Duration timeout) {
  TE_RETURN_IF_ERROR(Release(id, timeout));
  // Peers that do not hear of it are refused by the buffer's generation.
  if (const absl::Status published = publisher_->Publish(); !published.ok()) {
    LOG(WARNING) << "the metadata store still shows a buffer that is gone: "
                 << published;
  }
  return absl::OkStatus();
}

// Takes the buffer back from everybody; who is not done in time is cut off.
absl::Status TransferEngine::Release(BufferId id, Duration timeout) {
  absl::Status status = ReleaseBy(In(timeout), id);
  if (absl::IsDeadlineExceeded(status)) {
    AbortUsers(id);
    status = ReleaseBy(In(kAbortTime), id);
  }
  if (absl::IsDeadlineExceeded(status)) {
    // Then it is peers that hold it.
    for (const auto& transport : transports_) transport->DisconnectPeers();
    status = ReleaseBy(In(kReleaseTime), id);
  }
  return status;
}

// In steps, because others who ask for the same have deadlines of their own.
absl::Status TransferEngine::ReleaseBy(MonotonicTime deadline, BufferId id) {
  for (;;) {
    const MonotonicTime step = std::min(deadline, In(kReleaseStep));
    const absl::Status status = buffers_.Unregister(
        id, deadline,
        [&](uint32_t slot) { return ReleaseFromTransports(slot, step); });
    if (!absl::IsDeadlineExceeded(status) || RealClock().Now() >= deadline) {
      return status;
    }
  }
}

absl::Status TransferEngine::ReleaseFromTransports(uint32_t slot,
                                                   MonotonicTime deadline) {
  absl::Status result;
  // From all of them, although one may have to wait.
  for (const auto& transport : transports_) {
    result.Update(transport->RevokeAccess(slot, deadline));
  }
  if (result.ok()) UnregisterFromTransports(slot, transports_.size());
  return result;
}

void TransferEngine::AbortUsers(BufferId id) {
  batches_->ForEach([&](BatchState& batch) {
    if (batch.finished() || !batch.Uses(id)) return;
    batch.Abort(
        absl::CancelledError("a local buffer of the batch was unregistered"));
  });
  deadlines_->Notice(RealClock().Now());
}

}  // namespace te
