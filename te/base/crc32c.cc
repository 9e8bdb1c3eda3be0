#include "te/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace te {

uint32_t ExtendCrc32c(uint32_t crc, const void* data, size_t bytes) {
  // ISA-L works on the bare register: the inversions at both ends are ours. It
  // counts in int, and takes a mutable pointer although it only reads.
  constexpr size_t kMaxCall = size_t{1} << 30;
  auto* next =
      const_cast<unsigned char*>(static_cast<const unsigned char*>(data));
  uint32_t state = ~crc;
  while (bytes > 0) {
    size_t count = std::min(bytes, kMaxCall);
    state = crc32_iscsi(next, static_cast<int>(count), state);
    next += count;
    bytes -= count;
  }
  return ~state;
}

}  // namespace te
