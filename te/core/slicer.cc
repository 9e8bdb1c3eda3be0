#include "te/core/slicer.h"

#include <algorithm>

#include "te/transport/slice.h"

namespace te {
namespace {

// More slices than that do not help to spread a request over rails.
constexpr uint64_t kUsefulSlices = 4096;
constexpr uint64_t kAlignment = 4096;

}  // namespace

uint32_t SliceBytes(uint64_t length, const SliceAdvice& advice,
                    const SliceBounds& bounds) {
  uint64_t bytes = advice.bytes > 0 ? advice.bytes : bounds.most;
  bytes = bytes / kAlignment * kAlignment;
  // What is short goes one way: to spread it costs more than it brings.
  if (advice.rails > 1 && length > kLatencyBytes) {
    const uint64_t share = (length + advice.rails - 1) / advice.rails;
    bytes = std::min(bytes, (share + kAlignment - 1) / kAlignment * kAlignment);
  }
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(bytes, bounds.least, bounds.most));
}

Slicing CutLong(uint64_t length, uint32_t slice_bytes) {
  // Leaves room for the rest that joins the last slice.
  constexpr uint64_t kLongest = kMaxSliceBytes / 2;
  const uint64_t spread = std::min(length / kUsefulSlices, kLongest);
  const uint64_t aligned = (spread + kAlignment - 1) / kAlignment * kAlignment;
  const uint64_t size =
      std::min(std::max<uint64_t>(slice_bytes, aligned), kLongest);
  const uint64_t whole = length / size;
  const uint64_t rest = length % size;
  const bool join = rest <= size / 2;
  return {.count = static_cast<size_t>(whole + (join ? 0 : 1)),
          .size = static_cast<uint32_t>(size),
          .last = static_cast<uint32_t>(join ? size + rest : rest)};
}

}  // namespace te
