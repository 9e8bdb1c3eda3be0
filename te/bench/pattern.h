// Bytes that say where they belong, so that what was lost, misplaced or
// left over is found.

#ifndef TE_BENCH_PATTERN_H_
#define TE_BENCH_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace te::bench {

// What a target fills its memory with.
inline constexpr uint64_t kTargetSeed = 1;

// Fills `memory` with the pattern's bytes from `position` on. The pattern of a
// seed has another 8 bytes at each position that is a multiple of 8.
void FillPattern(absl::Span<std::byte> memory, uint64_t seed,
                 uint64_t position);

struct Mismatch {
  // Of the first byte that differs, as `position` counts.
  uint64_t position = 0;
  // The bytes from there on, at most 8, in hexadecimal.
  std::string expected;
  std::string found;
};

// The first place where `memory` is not what FillPattern would make of it.
std::optional<Mismatch> FindMismatch(absl::Span<const std::byte> memory,
                                     uint64_t seed, uint64_t position);

}  // namespace te::bench

#endif  // TE_BENCH_PATTERN_H_
