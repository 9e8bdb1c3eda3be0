#ifndef TE_TRANSPORT_LOCAL_MEMORY_H_
#define TE_TRANSPORT_LOCAL_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "te/base/memory_location.h"

namespace te {

// A registered buffer of this process, as transports know it. Buffers may
// overlap.
struct LocalMemory {
  // Names the buffer from RegisterMemory until UnregisterMemory: below
  // EngineOptions::max_buffers, used again for later buffers.
  uint32_t slot = 0;
  std::byte* address = nullptr;
  uint64_t length = 0;
  // What peers may do. The process itself may always do both.
  bool remote_read = false;
  bool remote_write = false;
  // Where it lies if that is one place, else "*".
  MemoryLocation location;
  // A file of sealed length that begins with this memory, and that others can
  // map (MappableMemory); -1: there is none. Stays the registrar's, open until
  // UnregisterMemory has returned.
  int fd = -1;
};

// What a transport may tell its peers of a buffer: a descriptor carries it for
// each buffer, of which there may be a million.
inline constexpr size_t kMaxKeyBytes = 128;

}  // namespace te

#endif  // TE_TRANSPORT_LOCAL_MEMORY_H_
