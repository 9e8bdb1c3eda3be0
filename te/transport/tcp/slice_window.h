#ifndef TE_TRANSPORT_TCP_SLICE_WINDOW_H_
#define TE_TRANSPORT_TCP_SLICE_WINDOW_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "te/transport/slice.h"

namespace te::tcp {

// The slices of a stream that are on their way, in the order of their ids,
// which are consecutive and wrap. The sender adds at one end, the receiver
// removes at the other; each end is for one thread at a time.
//
// The indices are sequentially consistent: see ClientStream.
class SliceWindow {
 public:
  static constexpr uint32_t kSlots = 4096;
  static_assert((kSlots & (kSlots - 1)) == 0, "ids are cut by a mask");

  // The first slice gets the id `first`.
  SliceWindow(uint64_t max_bytes, uint32_t first)
      : max_bytes_(max_bytes),
        slots_(std::make_unique<Slice*[]>(kSlots)),
        added_(first),
        sent_(first),
        removed_(first) {}

  // Room for `length` bytes more. One slice always fits, however long.
  bool HasRoom(uint32_t length) const {
    const uint32_t used = added_.load() - removed_.load();
    return used == 0 ||
           (used < kSlots &&
            added_bytes_.load() - removed_bytes_.load() + length <= max_bytes_);
  }

  // For the sender. Returns the slice's id.
  uint32_t Add(Slice& slice) {
    const uint32_t id = added_.load();
    slots_[id % kSlots] = &slice;
    added_bytes_ += slice.length;
    added_ = id + 1;
    return id;
  }
  // The slices with ids up to here have left entirely.
  void MarkSent(uint32_t count) { sent_ += count; }

  // For the receiver.
  uint32_t first() const { return removed_.load(); }
  bool IsSent(uint32_t id) const {
    return id - removed_.load() < sent_.load() - removed_.load();
  }
  bool Holds(uint32_t id) const {
    return id - removed_.load() < added_.load() - removed_.load();
  }
  Slice& Get(uint32_t id) const { return *slots_[id % kSlots]; }
  Slice& Remove() {
    const uint32_t id = removed_.load();
    Slice& slice = Get(id);
    removed_bytes_ += slice.length;
    removed_ = id + 1;
    return slice;
  }
  bool empty() const { return added_.load() == removed_.load(); }

 private:
  const uint64_t max_bytes_;
  const std::unique_ptr<Slice*[]> slots_;
  // Of the sender.
  alignas(64) std::atomic<uint32_t> added_;
  std::atomic<uint32_t> sent_;
  std::atomic<uint64_t> added_bytes_{0};
  // Of the receiver.
  alignas(64) std::atomic<uint32_t> removed_;
  std::atomic<uint64_t> removed_bytes_{0};
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_SLICE_WINDOW_H_
