#ifndef TE_TRANSPORT_SHM_COPY_BYTES_H_
#define TE_TRANSPORT_SHM_COPY_BYTES_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace te::shm {

// Copying between memory that is mapped here, on one thread. Nothing of this
// allocates.

// With each of them, others who see what was released by this thread after the
// copy see the bytes.
enum class CopyWay : uint8_t {
  // That of the C library.
  kMemcpy,
  // The processor's own loop; where the processor says that it is fast.
  kRepMovsb,
  // Stores past the caches, by registers of 32 and of 64 bytes.
  kStreamAvx2,
  kStreamAvx512,
};

// What this processor can do. kMemcpy is always there.
absl::Span<const CopyWay> AvailableWays();

// As people call it: "memcpy".
absl::string_view NameOf(CopyWay way);

// The fastest for so many bytes copied in a row, be they of one copy or of many
// small ones.
CopyWay BestWay(uint64_t bytes_in_a_row);

// `way` is one of AvailableWays. The two must not overlap.
void CopyBy(CopyWay way, void* to, const void* from, size_t bytes);

// The best way for one copy alone.
inline void CopyBytes(void* to, const void* from, size_t bytes) {
  CopyBy(BestWay(bytes), to, from, bytes);
}

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_COPY_BYTES_H_
