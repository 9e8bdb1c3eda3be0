#include "te/bench/slot_contents.h"

#include <cstring>

#include "te/base/clock.h"

namespace te::bench {

// Seeds begin with the time: what an earlier run has left is not taken for what
// this one wrote.
SlotContents::SlotContents(std::vector<uint64_t> offsets)
    : next_seed_(kTargetSeed + 1 +
                 RealClock().Now().time_since_epoch().count()) {
  slots_.reserve(offsets.size());
  for (uint64_t offset : offsets) slots_.push_back({.offset = offset});
}

void SlotContents::Copy(size_t slot, absl::Span<std::byte> local) const {
  FillPattern(local, slots_[slot].seed, slots_[slot].offset);
}

void SlotContents::Renew(size_t slot, absl::Span<std::byte> local) {
  slots_[slot].seed = next_seed_++;
  Copy(slot, local);
}

void SlotContents::Reseed(size_t slot, absl::Span<std::byte> local) {
  slots_[slot].seed = kTargetSeed;
  Copy(slot, local);
}

void SlotContents::Poison(absl::Span<std::byte> local) {
  std::memset(local.data(), 0xEE, local.size());
}

std::optional<Mismatch> SlotContents::Check(
    size_t slot, absl::Span<const std::byte> local) const {
  return FindMismatch(local, slots_[slot].seed, slots_[slot].offset);
}

}  // namespace te::bench
