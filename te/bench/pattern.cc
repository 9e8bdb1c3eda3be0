#include "te/bench/pattern.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace te::bench {
namespace {

constexpr size_t kWord = sizeof(uint64_t);

// Bijective for each seed: no two words of a pattern are equal.
uint64_t WordAt(uint64_t seed, uint64_t index) {
  const uint64_t x = (index + seed * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

// Calls visit(bytes, word's bytes) for each whole or cut word of the memory,
// until it returns false.
template <typename Visit>
void ForEachWord(size_t size, uint64_t seed, uint64_t position, Visit visit) {
  for (size_t at = 0; at < size;) {
    const size_t skip = (position + at) % kWord;
    const size_t length = std::min(kWord - skip, size - at);
    const uint64_t word = WordAt(seed, (position + at) / kWord);
    if (!visit(at, reinterpret_cast<const std::byte*>(&word) + skip, length)) {
      return;
    }
    at += length;
  }
}

std::string Hex(absl::Span<const std::byte> bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace

void FillPattern(absl::Span<std::byte> memory, uint64_t seed,
                 uint64_t position) {
  ForEachWord(memory.size(), seed, position,
              [&](size_t at, const std::byte* bytes, size_t length) {
                if (length == kWord) {  // with a constant size: one store
                  std::memcpy(&memory[at], bytes, kWord);
                } else {
                  std::memcpy(&memory[at], bytes, length);
                }
                return true;
              });
}

std::optional<Mismatch> FindMismatch(absl::Span<const std::byte> memory,
                                     uint64_t seed, uint64_t position) {
  std::optional<Mismatch> result;
  ForEachWord(
      memory.size(), seed, position,
      [&](size_t at, const std::byte* bytes, size_t length) {
        const bool same = length == kWord
                              ? std::memcmp(&memory[at], bytes, kWord) == 0
                              : std::memcmp(&memory[at], bytes, length) == 0;
        if (same) return true;
        const size_t first =
            std::mismatch(bytes, bytes + length, &memory[at]).first - bytes;
        result =
            Mismatch{.position = position + at + first,
                     .expected = Hex({bytes + first, length - first}),
                     .found = Hex(memory.subspan(at + first, length - first))};
        return false;
      });
  return result;
}

}  // namespace te::bench
