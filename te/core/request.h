#ifndef TE_CORE_REQUEST_H_
#define TE_CORE_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/transport/huge_pages.h"
#include "te/transport/slice.h"

namespace te {

// What peers may do with registered memory. The owner may always do both.
enum class Access : uint8_t {
  kLocalOnly = 0,
  kRemoteRead = 1,
  kRemoteWrite = 2,
  kRemoteReadWrite = 3,
};

inline bool Allows(Access access, Operation operation) {
  const Access needed = operation == Operation::kRead ? Access::kRemoteRead
                                                      : Access::kRemoteWrite;
  return (static_cast<uint8_t>(access) & static_cast<uint8_t>(needed)) != 0;
}

// Memory to register: the caller's, who keeps it mapped until UnregisterMemory
// has returned. Regions may overlap.
struct MemoryRegion {
  void* address = nullptr;
  size_t length = 0;
  // "*" lets the engine ask the kernel on which NUMA node each page is, which
  // takes some milliseconds at most (PlacementOptions); peers are told if it is
  // one alone. Pages that nobody has touched yet have no node and stay unknown,
  // so touch memory before registering it, or say where it will be.
  MemoryLocation location;
  Access access = Access::kRemoteReadWrite;
};

// Handles of an engine. The default ones name nothing; those of things that are
// gone are recognised.
struct BufferId {
  uint64_t value = 0;
  friend bool operator==(BufferId, BufferId) = default;
};
struct SegmentId {
  uint64_t value = 0;
  friend bool operator==(SegmentId, SegmentId) = default;
};

// Memory that an engine is to allocate.
struct AllocationRequest {
  // At least 1.
  size_t bytes = 0;
  // The NUMA node that it must lie on; "*": where the memory of the thread that
  // calls AllocateMemory comes from.
  MemoryLocation location;
  Access access = Access::kRemoteReadWrite;
  HugePages huge_pages = HugePages::kIfAvailable;
  // Called with the memory before it is registered, so that peers find in it
  // what this has written; on the thread of AllocateMemory.
  std::function<void(absl::Span<std::byte>)> initialize;
};

// Memory that an engine has allocated, as zeros, and registered. Its own until
// FreeMemory, or its end.
struct AllocatedMemory {
  BufferId id;
  // At the beginning of a page.
  std::byte* address = nullptr;
  // As asked for.
  size_t length = 0;
};

// One transfer between registered local memory and a remote segment.
struct Request {
  Operation operation = Operation::kRead;
  void* local = nullptr;
  SegmentId segment;
  // In the peer's address space, as its segment's buffers give it.
  uint64_t remote_address = 0;
  // Bytes, at least 1.
  uint64_t length = 0;
};

// How a request ended. OK means that all its bytes are where they should be.
struct RequestResult {
  absl::Status status;
  // Bytes known to have arrived. Of a request that failed, any of the others
  // may have arrived as well.
  uint64_t bytes = 0;
  // Whether the engine is done with the local memory. False only for a request
  // that has not ended.
  bool local_reusable = false;
};

// A message to the application at the other end. Any bytes, in total at most
// kMaxNotificationBytes.
struct Notification {
  std::string name;
  std::string message;
};
inline constexpr size_t kMaxNotificationBytes = 64 << 10;

struct SubmitOptions {
  // From now until each request has ended, in one way or another; none means
  // EngineOptions::default_timeout.
  std::optional<Duration> timeout;
  // Delivered to the peer of the batch, once, after all its bytes have arrived.
  // The batch must then have one segment only; if a request fails there is no
  // notification.
  std::optional<Notification> notification;
  // Called once when the batch has finished, on a thread of the engine's or of
  // some caller's: also on that of Submit, before it returns. Must not block,
  // nor wait for the batch, nor destroy the engine.
  std::function<void()> on_finished;
  // An eventfd that gets 1 added when the batch has finished; -1 for none.
  // Stays the caller's, who keeps it open until the event has come, or a Wait
  // for the batch has returned true.
  int event_fd = -1;
};

}  // namespace te

#endif  // TE_CORE_REQUEST_H_
