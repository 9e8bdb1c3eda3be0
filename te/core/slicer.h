#ifndef TE_CORE_SLICER_H_
#define TE_CORE_SLICER_H_

#include <cstddef>
#include <cstdint>

#include "te/transport/transport.h"

namespace te {

// How a request is cut: `count` slices of `size` bytes, the last one of what is
// left, which is at most half a slice more. A short rest is not worth a slice.
struct Slicing {
  size_t count = 0;
  uint32_t size = 0;
  uint32_t last = 0;
};

// Requests of at most so many bytes are meant to be quick, and need not wait
// for the slices of longer ones: what 100 Gb/s carry in 5 us.
inline constexpr uint64_t kLatencyBytes = 64 << 10;

// Bounds of slices.
struct SliceBounds {
  uint32_t least = 0;
  uint32_t most = 0;
};

// How long the slices of a request had better be: so that each rail gets one,
// but no longer than is advised.
uint32_t SliceBytes(uint64_t length, const SliceAdvice& advice,
                    const SliceBounds& bounds);

// For Cut: a request of at least `slice_bytes`.
Slicing CutLong(uint64_t length, uint32_t slice_bytes);

// `length` at least 1, `slice_bytes` at most kMaxSliceBytes / 2. Slices of very
// long requests are longer, to bound their number.
inline Slicing Cut(uint64_t length, uint32_t slice_bytes) {
  if (length >= slice_bytes) return CutLong(length, slice_bytes);
  return {.count = 1, .size = 0, .last = static_cast<uint32_t>(length)};
}

inline Slicing Cut(uint64_t length, const SliceAdvice& advice,
                   const SliceBounds& bounds) {
  // Most requests are short, whatever is advised.
  return Cut(length, length < bounds.least
                         ? bounds.least
                         : SliceBytes(length, advice, bounds));
}

}  // namespace te

#endif  // TE_CORE_SLICER_H_
