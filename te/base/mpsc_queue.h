#ifndef TE_BASE_MPSC_QUEUE_H_
#define TE_BASE_MPSC_QUEUE_H_

#include <stddef.h>

#include <atomic>
#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include "glog/logging.h"

namespace te {

// A bounded queue from many producers to one consumer, without locks: Dmitry
// Vyukov's ring in which every cell has a sequence number that says whose turn
// it is. Elements of one producer keep their order.
//
// TryPush may be called by any thread. TryPop is for one thread at a time; that
// may change hands under a lock. Neither blocks. A producer that is preempted
// in the middle of TryPush hides the elements behind its own from the consumer
// until it goes on, so "TryPop found nothing" means only that nothing is ready:
// a consumer that sleeps must be woken after TryPush has returned.
//
// T is default-constructible and movable. What is left is destroyed with the
// queue.
template <typename T>
class MpscQueue {
 public:
  // `capacity` is a power of two, and at least 2.
  explicit MpscQueue(size_t capacity)
      : mask_(capacity - 1), cells_(std::make_unique<Cell[]>(capacity)) {
    CHECK(capacity >= 2 && std::has_single_bit(capacity)) << capacity;
    for (size_t i = 0; i < capacity; ++i) {
      cells_[i].sequence.store(i, std::memory_order_relaxed);
    }
  }
  MpscQueue(const MpscQueue&) = delete;
  MpscQueue& operator=(const MpscQueue&) = delete;

  // False when full; `value` is untouched then.
  bool TryPush(T&& value) {
    // Relaxed: the position only picks a cell; the cell's sequence, read with
    // acquire, is what publishes its contents.
    size_t position = tail_.load(std::memory_order_relaxed);
    Cell* cell;
    while (true) {
      cell = &cells_[position & mask_];
      // Acquire pairs with the release in TryPop: the element that was moved
      // out of this cell is gone before we write the next one.
      size_t sequence = cell->sequence.load(std::memory_order_acquire);
      if (sequence == position) {
        if (tail_.compare_exchange_weak(position, position + 1,
                                        std::memory_order_relaxed)) {
          break;
        }
        continue;  // another producer was faster; `position` is reloaded
      }
      // Behind by a lap: the consumer has not emptied it. The difference is
      // signed so that it stays right when positions wrap.
      if (static_cast<ptrdiff_t>(sequence - position) < 0) return false;
      position = tail_.load(std::memory_order_relaxed);
    }
    cell->value = std::move(value);
    // Release pairs with the acquire in TryPop and publishes the value.
    cell->sequence.store(position + 1, std::memory_order_release);
    return true;
  }

  bool TryPush(const T& value) { return TryPush(T(value)); }

  // The oldest element; nullopt when none is ready.
  std::optional<T> TryPop() {
    Cell& cell = cells_[head_ & mask_];
    if (cell.sequence.load(std::memory_order_acquire) != head_ + 1) {
      return std::nullopt;
    }
    std::optional<T> value(std::move(cell.value));
    // Hands the cell to the producer that comes one lap later.
    cell.sequence.store(head_ + mask_ + 1, std::memory_order_release);
    ++head_;
    return value;
  }

  size_t capacity() const { return mask_ + 1; }

 private:
  // The line size of every CPU te runs on; the std constant varies with -mtune.
  static constexpr size_t kCacheLine = 64;

  struct Cell {
    std::atomic<size_t> sequence;
    T value{};
  };

  const size_t mask_;
  const std::unique_ptr<Cell[]> cells_;
  alignas(kCacheLine) std::atomic<size_t> tail_ = 0;  // producers
  alignas(kCacheLine) size_t head_ = 0;               // the consumer alone
};

}  // namespace te

#endif  // TE_BASE_MPSC_QUEUE_H_
