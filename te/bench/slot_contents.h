#ifndef TE_BENCH_SLOT_CONTENTS_H_
#define TE_BENCH_SLOT_CONTENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "te/bench/pattern.h"

namespace te::bench {

// Remembers what each of a worker's slots in the target's memory holds, and
// makes and checks the local copies. Positions are offsets in the target's
// buffer, so a block at a wrong place is found. Thread-compatible.
class SlotContents {
 public:
  // The slots are `offsets` of the target's buffer, as it has seeded them.
  explicit SlotContents(std::vector<uint64_t> offsets);

  size_t size() const { return slots_.size(); }

  // Makes `local` the same as the slot.
  void Copy(size_t slot, absl::Span<std::byte> local) const;
  // Makes `local` something new, which the slot will hold.
  void Renew(size_t slot, absl::Span<std::byte> local);
  // Makes `local` what the target seeds, which the slot will hold again.
  void Reseed(size_t slot, absl::Span<std::byte> local);
  // Makes `local` nothing that a slot ever holds.
  static void Poison(absl::Span<std::byte> local);
  // The first difference between `local` and what the slot should hold.
  std::optional<Mismatch> Check(size_t slot,
                                absl::Span<const std::byte> local) const;

 private:
  struct Slot {
    uint64_t offset = 0;
    uint64_t seed = kTargetSeed;
  };

  std::vector<Slot> slots_;
  uint64_t next_seed_;
};

}  // namespace te::bench

#endif  // TE_BENCH_SLOT_CONTENTS_H_
